module github.com/ssebridge/ssebridge/tools/notices

go 1.26.0

// Package admit decides which requests are let in: by the number of clients, in all and for
// each address, by how often a topic is opened, and by the memory that requests and answers
// take. A request has one [Permit], which is released once, when its answer has ended.
package admit

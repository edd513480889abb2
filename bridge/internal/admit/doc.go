// Package admit decides which requests are admitted. It limits the number of clients, in
// total and for each address, the rate at which topics are opened, and the memory of
// requests and answers. A request has one [Permit], which is released once, when its answer
// has ended.
package admit

// Package eureka watches the applications of one Eureka registry, which any of several servers can be asked for.
//
//	<url>/apps          the whole registry: at the start, after anything that may have hidden a change, and every few minutes
//	<url>/apps/delta    what has changed within the last three minutes, and a hash of the whole; every poll
//
// The hash counts instances by status only. So what is known is thrown away and read as a whole when the hash differs, when more than
// 150 s have passed without a good answer, when another server is asked, after any failure, and every five minutes.
//
// An answer is read to its end before anything of it is believed. A server that has just been started answers with an empty registry and
// status 200; that is its word, and what becomes of live endpoints then is the business of the guards.
package eureka

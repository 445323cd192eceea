//! A small exhaustive model of the protocol: the rules themselves are checked, not the code that follows them.
//!
//! This is an independent, abstract restatement of `PROTOCOL.md`. Of the crate it uses the quorum arithmetic and nothing
//! else: not the replica, not its messages. Each model is a few pages, is explored breadth first to its end, and prints how
//! many states it has. Every rule is a field of [`rules::Rules`]. With all of them on no reachable state breaks a property;
//! with one off, the explorer finds the shortest run that does, of a length that the test states.
//!
//! Run `cargo test --release -p mod-smart --test model -- --nocapture` to read states, depths and traces.
//!
//! | model | what it covers | bounds (all: one liar, `f = 1`) |
//! |---|---|---|
//! | 1 [`instance`] | selection, certificates, decisions, tentative signatures | n = 4, 4 regencies; n = 5, 3; n = 6, 2; flat and weighted; 2 values |
//! | 1 [`collects`] | the selection rule over every set of collects | n = 4 to 6, flat and weighted, 2 epochs, 2 values |
//! | 2 [`windows`] | open instances, gaps, repeats, carried-over instances, the chain of blocks | n = 4, up to 3 instances, windows of 1 to 3, 2 or 3 regencies, up to 3 requests |
//! | 3 [`proposals`] | a leader that restarts | n = 4, 1 regency, 2 values |
//! | 4 [`bodies`] | bodies, power cuts, SUCCESS | n = 4, 1 request, any number of power cuts |
//! | 5 [`requests`] | the window of a session | 5 requests, a window of 2 |
//! | 6 [`blocks`] | signatures of decided blocks | n = 4, 3 regencies |
//! | 7 [`stops`] | STOP | n = 4, 1 regency change |
//! | 8 [`succession`] | S1 -> S2 -> S1 with incarnations | 3 groups, 2 instances each, 3 requests |
//!
//! *What the liar can do.* Whatever it can sign exists from the start, for everybody, as often as it likes; it shows or hides
//! what it pleases. It cannot make a correct replica's signature. In models 1 and 2 it leads as many regencies as helps it.
//!
//! *What the network can do.* Messages are a function of what replicas have said, and are never used up: delay, loss,
//! repetition and order are all covered by when, and whether, a replica acts on them.
//!
//! *What is abstracted.* Bytes, hashes and keys (a signature is what it covers); time (a timer may expire whenever it likes);
//! the journal (what is durable survives, what is not is forgotten at any moment); state transfer and checkpoints; more than
//! one liar. Model 2 sends one SYNC per regency, because model 1 has shown that equivocating ones do no harm; in its
//! larger configurations all correct replicas enter a regency together, see [`windows::Pace`].
//!
//! *Two kinds of question.* Can a broken state be reached ([`explorer::explore`])? Can a state be reached from which the correct
//! replicas alone can no longer finish ([`explorer::always_possible`])? The second finds losses of liveness that no timer heals.
//!
//! A counter-example reads like this one, of a STOPDATA that is not bound to its regency (the liar is replica 3, and its votes
//! are not listed, since they are always there):
//!
//! ```text
//! BREAKS without 'STOPDATA is bound to its regency': depth 12, 24436 states
//!    1. replica 0 stops regency 0, sends STOPDATA for 1
//!    2. replica 1 stops regency 0, sends STOPDATA for 1
//!    3. replica 0 takes a SYNC of 1 as unbound and WRITEs X in epoch 1
//!    4. replica 1 takes a SYNC of 1 as unbound and WRITEs X in epoch 1
//!    5. replica 0 holds a certificate of (1, X), signs and ACCEPTs
//!    6. replica 0 stops regency 1, sends STOPDATA for 2
//!    7. replica 0 takes a SYNC of 2 as unbound and WRITEs Y in epoch 2
//!    8. replica 1 holds a certificate of (1, X), signs and ACCEPTs
//!    9. replica 1 stops regency 1, sends STOPDATA for 2
//!   10. replica 1 takes a SYNC of 2 as unbound and WRITEs Y in epoch 2
//!   11. replica 0 holds a certificate of (2, Y), signs and ACCEPTs
//!   12. replica 1 holds a certificate of (2, Y), signs and ACCEPTs
//!    => AGREEMENT: X and Y are both decided
//! ```
//!
//! In step 7 the liar leads and shows the STOPDATA of step 1 again, which reports nothing: the certificate of step 5 is hidden.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, missing_docs)]

mod blocks;
mod bodies;
mod collects;
mod explorer;
mod instance;
mod instance_key;
mod proposals;
mod requests;
mod rules;
mod stops;
mod succession;
mod verdict;
mod windows;
mod windows_blocks;
mod windows_key;
mod windows_state;
mod windows_sync;

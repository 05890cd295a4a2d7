//! Following the changes of a Postgres database: what is committed at the source is in the lake, once and whole, whatever
//! happens on the way; and where that cannot be, a person is told, and there is no gap without a word.
//!
//! Each file is one behaviour. The source is the ledger of the test kit; the judge is `tests/readers/ledger.py`, which holds
//! the lake against the journal of the writer. `OL_SEED` repeats what a writer did.

mod adding;
mod again;
mod ambiguous;
mod cap;
mod catch_up;
mod checker;
mod chunks;
mod common;
mod copies;
mod handover;
mod identity;
mod idle;
mod kill;
mod load;
mod network;
mod publication;
mod restart;
mod schema;
mod server;
mod service;
mod slot;
mod spark;
mod toast;
mod verify;

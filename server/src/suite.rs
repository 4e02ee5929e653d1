//! The tests of a project: files that say what comes in, what the outside answers, how time passes, and what is expected.
//!
//! ```text
//!   tests/<any>.yaml ─▶ cases ─▶ a platform of its own for each, its clock standing still ─▶ what came of it
//!                                                                                    │
//!   an execution of a running server ─▶ record ─▶ a case                   compared, field by field
//! ```

pub(crate) mod case;
mod compare;
pub(crate) mod record;
pub(crate) mod runner;

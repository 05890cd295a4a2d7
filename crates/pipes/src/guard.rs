//! Marks threads that are inside this crate, so that what the crate itself causes (events of the
//! HTTP client, a panic while a message is written) does not come back into it.

use std::cell::Cell;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, the current thread is inside this crate.
pub(crate) struct Inside {
    before: bool,
}

impl Inside {
    pub(crate) fn enter() -> Self {
        Self { before: INSIDE.replace(true) }
    }

    /// Whether the current thread is inside; also `true` while the thread is being torn down.
    pub(crate) fn is_entered() -> bool {
        INSIDE.try_with(Cell::get).unwrap_or(true)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.before);
    }
}

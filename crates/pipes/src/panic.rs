//! The panic hook.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::time::Duration;

use crate::exception::Exception;
use crate::guard::Inside;
use crate::session::WeakSession;

/// How long the hook waits for a thread that is sending a message.
const WAIT: Duration = Duration::from_secs(2);

/// Puts a hook before the one there is.
pub(crate) fn install(session: WeakSession) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        // A thread inside this crate may hold the very lock that closing needs.
        if !Inside::is_entered()
            && let Some(session) = session.upgrade()
        {
            // The hook before has told the panic; a failure to tell it once more ends here.
            drop(session.close_unless_held(&exception(info), WAIT));
        }
    }));
}

fn exception(info: &PanicHookInfo<'_>) -> Exception {
    let text = info.payload().downcast_ref::<&'static str>().copied();
    let thread = std::thread::current();
    let thread_name = thread.name().unwrap_or("without a name");
    let place = info.location().map_or_else(
        || "an unknown place".to_owned(),
        |location| format!("{}:{}:{}", location.file(), location.line(), location.column()),
    );
    let message = match text {
        Some(text) => format!("Panic at {place} on thread {thread_name}: {text}"),
        None => format!("Panic at {place} on thread {thread_name}"),
    };
    let mut stack = vec![place];
    let backtrace = Backtrace::capture(); // only where RUST_BACKTRACE asks for it
    if backtrace.status() == BacktraceStatus::Captured {
        stack.extend(backtrace.to_string().lines().map(str::to_owned));
    }
    Exception { stack, ..Exception::of(message) }.named("Panic")
}

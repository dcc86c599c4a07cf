//! Runs code that may panic through no fault of ours, and says so in the log instead of on stderr.
//!
//! Owns: the panic hook, for as long as the code runs. Not here: what to do about it.
//! Invariant: panics of other threads are reported as ever, and the hook found is the hook left.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// One at a time: hooks taken and given back crosswise would be lost.
static HOOK: Mutex<()> = Mutex::new(());

/// The closure's result, or the message of its panic.
pub(super) fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    let _alone = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    let usual = Arc::new(panic::take_hook());
    let (others, here) = (Arc::clone(&usual), thread::current().id());
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == here {
            log(info);
        } else {
            others(info);
        }
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    drop(panic::take_hook());
    panic::set_hook(
        Arc::try_unwrap(usual).unwrap_or_else(|usual| Box::new(move |info| usual(info))),
    );
    result.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        format!("panic: {}", text.unwrap_or("without a message"))
    })
}

fn log(info: &PanicHookInfo<'_>) {
    tracing::warn!(panic = %info, "caught a panic");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A panic becomes an error with its message, and what ran well is handed through.
    #[test]
    fn panic_becomes_a_message() {
        let empty: [u8; 0] = [];
        let message = quietly(|| empty[std::hint::black_box(3)]).expect_err("panics");
        assert!(message.contains("index out of bounds"), "{message}");
        assert_eq!(quietly(|| panic!("plain")), Err::<(), _>("panic: plain".into()));
        assert_eq!(quietly(|| 7), Ok(7));
    }
}

//! The places messages are written to.

mod file;
mod object;
mod stdio;

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::bootstrap::MessagesPlace;
use crate::error::Result;
use crate::message::Message;

pub(crate) use object::Timing;

/// A place that takes messages in order.
pub(crate) trait Channel: Send {
    /// Takes one message. It is delivered now or, by a channel that buffers, at
    /// [`finish`](Self::finish) at the latest.
    fn send(&mut self, message: Message<'_>) -> Result<()>;

    /// Delivers what is buffered, and ends.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Opens the channel to the place; `variables` hold the credentials of object stores.
pub(crate) fn open(
    place: &MessagesPlace,
    variables: &BTreeMap<OsString, OsString>,
) -> Result<Box<dyn Channel>> {
    Ok(match place {
        MessagesPlace::File { path } => Box::new(file::FileChannel::open(path)?),
        MessagesPlace::Stdio { stream } => Box::new(stdio::StdioChannel::open(*stream)),
        MessagesPlace::BufferedStdio { stream } => {
            Box::new(stdio::BufferedStdioChannel::open(*stream))
        }
        MessagesPlace::Object { bucket, key_prefix } => Box::new(object::ObjectChannel::open(
            crate::object::store(bucket, variables, crate::object::Retry::ByCaller)?,
            bucket,
            key_prefix.as_deref(),
            Timing::default(),
        )?),
    })
}

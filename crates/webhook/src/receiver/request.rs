//! Reading a request's body, within what Learn and the nginx in front of it take.

use std::future::poll_fn;
use std::pin::Pin;

use hyper::body::{Body, Bytes, Incoming};

/// The longest body that Django keeps in memory.
pub(super) const DJANGO_LIMIT_BYTES: u64 = 2_621_440;
/// The longest body that nginx passes on.
pub(super) const NGINX_LIMIT_BYTES: u64 = 25 * 1024 * 1024;
/// Nothing beyond this is read, not even to be thrown away.
const READ_LIMIT_BYTES: u64 = 32 * 1024 * 1024;

/// A body.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Whole(Bytes),
    /// Too long for Learn; thrown away while it was read, and not read to its end beyond the limit.
    TooLong {
        length_bytes: u64,
    },
}

impl Content {
    /// How much was read.
    pub(super) fn length_bytes(&self) -> u64 {
        match self {
            Self::Whole(bytes) => length(bytes),
            Self::TooLong { length_bytes } => *length_bytes,
        }
    }

    /// The body, unless it was too long.
    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::TooLong { .. } => None,
        }
    }
}

/// Reads a body. One that comes in one piece is not copied.
///
/// Learn itself goes by `Content-Length`. What is counted here is what arrives, which is the same:
/// nginx holds a request back until it knows its length.
pub(super) async fn read(mut body: Incoming) -> Result<Content, hyper::Error> {
    let mut first = Bytes::new();
    let mut joined = Vec::new();
    let mut length_bytes = 0;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame?.into_data() else { continue };
        length_bytes += length(&data);
        if length_bytes > READ_LIMIT_BYTES {
            break;
        } else if length_bytes > DJANGO_LIMIT_BYTES {
            joined = Vec::new();
        } else if first.is_empty() {
            first = data;
        } else {
            if joined.is_empty() {
                let expected = length_bytes + body.size_hint().lower().min(DJANGO_LIMIT_BYTES);
                joined.reserve(usize::try_from(expected).unwrap_or_default());
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&data);
        }
    }
    if length_bytes > DJANGO_LIMIT_BYTES {
        return Ok(Content::TooLong { length_bytes });
    }
    Ok(Content::Whole(if joined.is_empty() { first } else { joined.into() }))
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

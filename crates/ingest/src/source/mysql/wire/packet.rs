//! What packets are made of: little-endian numbers, and texts behind their length or up to a zero byte.

use super::super::error::SourceError;

/// Reads a packet from its beginning.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Cursor<'a> {
    rest: &'a [u8],
}

const SHORT: SourceError = SourceError::Protocol("a whole packet");

impl<'a> Cursor<'a> {
    pub(in super::super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// What was not read.
    pub(in super::super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// So many bytes.
    #[inline]
    pub(in super::super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], SourceError> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(SHORT)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// One byte.
    #[inline]
    pub(in super::super) fn byte(&mut self) -> Result<u8, SourceError> {
        let (byte, rest) = self.rest.split_first().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// A number of 1 to 8 bytes.
    pub(in super::super) fn number(&mut self, count: usize) -> Result<u64, SourceError> {
        let mut number = 0;
        for (place, byte) in self.bytes(count)?.iter().enumerate() {
            number |= u64::from(*byte) << (8 * place);
        }
        Ok(number)
    }

    /// A length-encoded number ("Protocol::LengthEncodedInteger").
    #[inline]
    pub(in super::super) fn length(&mut self) -> Result<u64, SourceError> {
        match self.byte()? {
            short @ 0..=0xfa => Ok(u64::from(short)),
            0xfc => self.number(2),
            0xfd => self.number(3),
            0xfe => self.number(8),
            // NULL, or an error.
            0xfb | 0xff => Err(SourceError::Protocol("a length")),
        }
    }

    /// Bytes behind their length.
    #[inline]
    pub(in super::super) fn counted_bytes(&mut self) -> Result<&'a [u8], SourceError> {
        let length = usize::try_from(self.length()?).map_err(|_| SHORT)?;
        self.bytes(length)
    }

    /// The same, or the mark of NULL.
    pub(super) fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, SourceError> {
        if self.rest.first() == Some(&0xfb) {
            self.byte()?;
            return Ok(None);
        }
        self.counted_bytes().map(Some)
    }

    /// A text up to a zero byte; to the end, where there is none.
    pub(super) fn text(&mut self) -> String {
        let end = self.rest.iter().position(|byte| *byte == 0).unwrap_or(self.rest.len());
        let text = String::from_utf8_lossy(self.rest.get(..end).unwrap_or_default()).into_owned();
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        text
    }
}

/// Appends bytes behind their length.
pub(super) fn put_counted(bytes: &[u8], out: &mut Vec<u8>) {
    let [low, high, ..] = bytes.len().to_le_bytes();
    match bytes.len() {
        0..=0xfa => out.push(low),
        _ => out.extend([0xfc, low, high]),
    }
    out.extend_from_slice(bytes);
}

/// An error packet ("ERR_Packet"); before the login is over it has no SQLSTATE.
pub(super) fn error(body: &[u8]) -> SourceError {
    let mut cursor = Cursor::new(body);
    let code = cursor.byte().and_then(|_| cursor.number(2)).unwrap_or_default();
    let mut state = String::new();
    if let Some((b'#', _)) = cursor.rest().split_first()
        && let Ok([_, marked @ ..]) = cursor.bytes(6)
    {
        state = lossy(marked);
    }
    let code = u16::try_from(code).unwrap_or_default();
    SourceError::Server { code, state, message: lossy(cursor.rest()) }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counted_bytes_read_back(bytes in prop::collection::vec(any::<u8>(), 0..70_000)) {
            prop_assume!(bytes.len() < 0x1_0000);
            let mut packet = Vec::new();
            put_counted(&bytes, &mut packet);
            packet.push(7);
            let mut cursor = Cursor::new(&packet);
            prop_assert_eq!(cursor.counted_bytes().unwrap(), bytes.as_slice());
            prop_assert_eq!(cursor.rest(), [7]);
        }

        #[test]
        fn no_bytes_are_too_few_to_read(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut cursor = Cursor::new(&bytes);
            let _ = cursor.nullable_bytes();
            let _ = cursor.number(8);
            let _ = cursor.text();
            let _ = error(&bytes);
        }
    }

    #[test]
    fn lengths_have_four_sizes() {
        for (bytes, length) in [
            (&[0xfa][..], 0xfa),
            (&[0xfc, 1, 2], 0x201),
            (&[0xfd, 1, 2, 3], 0x3_0201),
            (&[0xfe, 1, 0, 0, 0, 0, 0, 0, 0x80], 0x8000_0000_0000_0001),
        ] {
            assert_eq!(Cursor::new(bytes).length().unwrap(), length);
        }
        assert!(Cursor::new(&[0xfb]).length().is_err());
        assert_eq!(Cursor::new(&[0xfb]).nullable_bytes().unwrap(), None);
    }

    #[test]
    fn an_error_has_a_number_and_mostly_a_state() {
        let SourceError::Server { code, state, message } = error(b"\xff\x15\x04#28000denied")
        else {
            panic!("it is the server's");
        };
        assert_eq!((code, state.as_str(), message.as_str()), (1045, "28000", "denied"));
        // Half a state is none.
        assert!(
            matches!(error(b"\xff\x15\x04#28"), SourceError::Server { code: 1045, state, .. } if state.is_empty())
        );
        let SourceError::Server { code, state, .. } = error(b"\xff\x10\x04Too many") else {
            panic!("it is the server's");
        };
        assert_eq!((code, state.as_str()), (1040, ""));
    }
}

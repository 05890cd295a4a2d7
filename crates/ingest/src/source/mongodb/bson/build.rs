//! The documents that we send.

/// A document under construction.
#[derive(Debug, Clone, Default)]
pub struct Builder(Vec<u8>);

impl Builder {
    /// An empty document.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn element(mut self, kind: u8, name: &str, value: &[u8]) -> Self {
        self.0.push(kind);
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        self.0.extend_from_slice(value);
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn string(self, name: &str, text: &str) -> Self {
        let length = u32::try_from(text.len() + 1).unwrap_or(u32::MAX);
        let mut value = length.to_le_bytes().to_vec();
        value.extend_from_slice(text.as_bytes());
        value.push(0);
        self.element(0x02, name, &value)
    }

    /// Adds a document.
    #[must_use]
    pub fn document(self, name: &str, document: Self) -> Self {
        let bytes = document.build();
        self.element(0x03, name, &bytes)
    }

    /// Adds an array of documents.
    #[must_use]
    pub fn array(self, name: &str, documents: Vec<Self>) -> Self {
        let numbered = (0u32..).zip(documents);
        let array = numbered.fold(Self::new(), |array, (index, document)| {
            array.document(&index.to_string(), document)
        });
        self.list(name, array)
    }

    /// Adds bytes.
    #[must_use]
    pub fn binary(self, name: &str, bytes: &[u8]) -> Self {
        let mut value = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        value.push(0);
        value.extend_from_slice(bytes);
        self.element(0x05, name, &value)
    }

    /// Adds true or false.
    #[must_use]
    pub fn boolean(self, name: &str, value: bool) -> Self {
        self.element(0x08, name, &[u8::from(value)])
    }

    /// Adds a number of four bytes.
    #[must_use]
    pub fn int32(self, name: &str, value: i32) -> Self {
        self.element(0x10, name, &value.to_le_bytes())
    }

    /// Adds a number of eight bytes.
    #[must_use]
    pub fn int64(self, name: &str, value: i64) -> Self {
        self.element(0x12, name, &value.to_le_bytes())
    }

    /// Adds nothing.
    #[must_use]
    pub fn null(self, name: &str) -> Self {
        self.element(0x0a, name, &[])
    }

    /// Adds a moment of the server's own log.
    #[must_use]
    pub fn timestamp(self, name: &str, seconds: u32, ordinal: u32) -> Self {
        let value = u64::from(seconds) << 32 | u64::from(ordinal);
        self.element(0x11, name, &value.to_le_bytes())
    }

    /// Adds an array of whatever `items` holds, which must have the names `0`, `1`, …
    #[must_use]
    pub fn list(self, name: &str, items: Self) -> Self {
        let bytes = items.build();
        self.element(0x04, name, &bytes)
    }

    /// Adds a document as it once came.
    #[must_use]
    pub fn raw(self, name: &str, document: super::Document<'_>) -> Self {
        self.element(0x03, name, document.bytes())
    }

    /// Adds a value as it once came.
    #[must_use]
    pub fn value(self, name: &str, element: &super::Element<'_>) -> Self {
        self.element(element.kind, name, element.raw)
    }

    /// The bytes of the document.
    #[must_use]
    pub fn build(self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() + 5).unwrap_or(u32::MAX);
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(self.0);
        bytes.push(0);
        bytes
    }
}

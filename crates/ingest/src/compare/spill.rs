//! Hashes of rows by partition of their keys: in memory as far as they fit, else in files that nobody else can open.

use std::io::{BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};

use tempfile::SpooledTempFile;

use super::{MOST_PARTITIONS, PARTITION_ROWS};

/// Bytes of a partition that are held before it goes to a file: 256 of them are 64 MiB.
const HELD_BYTES: usize = 256 << 10;
/// Bytes that are written at a time.
const WRITTEN_BYTES: usize = 32 << 10;
/// Longest text of an order that is kept; what is longer is cut and sorts as its beginning.
const MOST_ORDER_BYTES: usize = u16::MAX as usize;

/// What is kept of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The hash of its key.
    pub key: u128,
    /// The hash of its values.
    pub row: u128,
    /// What it says of its key.
    pub standing: Standing,
    /// Bytes that sort as rows of one key came to be.
    pub order: Vec<u8>,
}

/// What a row says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is there.
    There,
    /// It was deleted.
    Gone,
}

/// The rows of one side.
pub struct Partitions {
    partitions: Vec<BufWriter<SpooledTempFile>>,
    /// The order at which the table was emptied last.
    emptied: Option<Vec<u8>>,
}

fn empty() -> BufWriter<SpooledTempFile> {
    BufWriter::with_capacity(WRITTEN_BYTES, SpooledTempFile::new(HELD_BYTES))
}

/// How many partitions hold so many rows.
#[must_use]
pub fn partitions(rows: u64) -> usize {
    let count = rows.div_ceil(PARTITION_ROWS).clamp(1, MOST_PARTITIONS);
    usize::try_from(count).unwrap_or(1)
}

impl Partitions {
    /// No rows yet, in so many partitions.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { partitions: (0..count.max(1)).map(|_| empty()).collect(), emptied: None }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.partitions.len()
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written.
    pub fn push(&mut self, held: &Held) -> std::io::Result<()> {
        let count = self.partitions.len() as u128;
        let place = usize::try_from(held.key % count).unwrap_or_default();
        let Some(file) = self.partitions.get_mut(place) else { return Ok(()) };
        let order = held.order.get(..MOST_ORDER_BYTES).unwrap_or(&held.order);
        let mut record = [0u8; 35];
        record[..16].copy_from_slice(&held.key.to_le_bytes());
        record[16..32].copy_from_slice(&held.row.to_le_bytes());
        record[32] = u8::from(held.standing == Standing::Gone);
        let length = u16::try_from(order.len()).unwrap_or(u16::MAX);
        record[33..].copy_from_slice(&length.to_le_bytes());
        file.write_all(&record)?;
        file.write_all(order)
    }

    /// What is up to this order is not there any more.
    pub fn emptied(&mut self, order: Option<Vec<u8>>) {
        self.emptied = order;
    }

    /// Gives the rows of one partition, in the order they came, and frees what they took.
    ///
    /// # Errors
    /// A temporary file cannot be read.
    pub fn take(&mut self, place: usize, mut each: impl FnMut(Held)) -> std::io::Result<()> {
        let Some(partition) = self.partitions.get_mut(place) else { return Ok(()) };
        let partition = std::mem::replace(partition, empty());
        let mut file = partition.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut record = [0u8; 35];
        let number = |bytes: &[u8]| {
            let mut number = [0u8; 16];
            number.copy_from_slice(bytes);
            u128::from_le_bytes(number)
        };
        loop {
            match reader.read_exact(&mut record) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
            let length = u16::from_le_bytes([record[33], record[34]]);
            let mut order = vec![0u8; usize::from(length)];
            reader.read_exact(&mut order)?;
            if self.emptied.as_ref().is_some_and(|emptied| order <= *emptied) {
                continue;
            }
            let standing = if record[32] == 1 { Standing::Gone } else { Standing::There };
            each(Held {
                key: number(&record[..16]),
                row: number(&record[16..32]),
                standing,
                order,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn rows_come_back_from_memory_and_from_files() {
        let mut partitions = Partitions::new(3);
        let held = |number: u128| Held {
            key: number,
            row: number * 7,
            standing: if number.is_multiple_of(2) { Standing::There } else { Standing::Gone },
            order: vec![1; usize::try_from(number % 50).unwrap()],
        };
        let rows = 40_000;
        for number in 0..rows {
            partitions.push(&held(number)).unwrap();
        }
        let rolled = partitions
            .partitions
            .iter()
            .filter(|partition| partition.get_ref().is_rolled())
            .count();
        assert_eq!(rolled, 3, "the rows are more than memory is for");
        let mut count = 0;
        for place in 0..partitions.count() {
            let mut next = place as u128;
            partitions
                .take(place, |found| {
                    assert_eq!(found, held(next));
                    next += 3;
                    count += 1;
                })
                .unwrap();
        }
        assert_eq!(count, rows);
    }

    #[test]
    fn partitions_grow_with_the_table_up_to_a_bound() {
        assert_eq!([0, 1, PARTITION_ROWS, PARTITION_ROWS + 1].map(partitions), [1, 1, 1, 2]);
        assert_eq!(partitions(u64::MAX), 256);
    }
}

//! What the summary of a snapshot counts, as Iceberg's Java library counts it.

use std::collections::HashMap;

use iceberg::spec::{DataContentType, DataFile, Summary};

/// Files that became alive, or ceased to be.
#[derive(Default)]
pub(crate) struct Files {
    files: u64,
    records: u64,
    bytes: u64,
    position_delete_files: u64,
    position_deletes: u64,
    equality_delete_files: u64,
    equality_deletes: u64,
}

impl Files {
    pub(crate) fn count(&mut self, file: &DataFile) {
        self.bytes += file.file_size_in_bytes();
        let (files, records) = match file.content_type() {
            DataContentType::Data => (&mut self.files, &mut self.records),
            DataContentType::PositionDeletes => {
                (&mut self.position_delete_files, &mut self.position_deletes)
            }
            DataContentType::EqualityDeletes => {
                (&mut self.equality_delete_files, &mut self.equality_deletes)
            }
        };
        *files += 1;
        *records += file.record_count();
    }

    fn delete_files(&self) -> u64 {
        self.position_delete_files + self.equality_delete_files
    }
}

/// Both sides of a commit.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) added: Files,
    pub(crate) removed: Files,
}

impl Change {
    /// The counts of the change, and the totals after it.
    pub(crate) fn counts(&self, before: Option<&Summary>) -> HashMap<String, String> {
        let (added, removed) = (&self.added, &self.removed);
        let counted = [
            ("added-data-files", added.files),
            ("added-records", added.records),
            ("added-files-size", added.bytes),
            ("added-delete-files", added.delete_files()),
            ("added-position-delete-files", added.position_delete_files),
            ("added-position-deletes", added.position_deletes),
            ("deleted-data-files", removed.files),
            ("deleted-records", removed.records),
            ("removed-files-size", removed.bytes),
            ("removed-delete-files", removed.delete_files()),
            ("removed-position-delete-files", removed.position_delete_files),
            ("removed-position-deletes", removed.position_deletes),
            ("removed-equality-delete-files", removed.equality_delete_files),
            ("removed-equality-deletes", removed.equality_deletes),
        ];
        let totals = [
            ("total-data-files", added.files, removed.files),
            ("total-records", added.records, removed.records),
            ("total-files-size", added.bytes, removed.bytes),
            ("total-delete-files", added.delete_files(), removed.delete_files()),
            ("total-position-deletes", added.position_deletes, removed.position_deletes),
            ("total-equality-deletes", added.equality_deletes, removed.equality_deletes),
        ];
        let counted = counted.into_iter().filter(|(_key, count)| *count > 0);
        let counted = counted.map(|(key, count)| (key.to_owned(), count.to_string()));
        let totals = totals.into_iter().map(|(key, added, removed)| {
            let before: u64 = before
                .and_then(|summary| summary.additional_properties.get(key))
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
            (key.to_owned(), (before + added).saturating_sub(removed).to_string())
        });
        counted.chain(totals).collect()
    }
}

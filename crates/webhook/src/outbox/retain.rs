//! Forgetting what was settled long ago. Entities are never forgotten: they know what is unchanged.

use super::database::{Outbox, execute};
use crate::error::Result;

/// Rows a statement removes, so that nobody waits long for the lock.
const ROWS: i64 = 5_000;

const SETTLED: &str =
    "DELETE FROM webhook_message WHERE sequence IN (SELECT sequence FROM webhook_message
    WHERE settled_at_ms < $1 AND state IN ('delivered', 'superseded', 'dropped') LIMIT $2)";
const DEAD: &str =
    "DELETE FROM webhook_message WHERE sequence IN (SELECT sequence FROM webhook_message
    WHERE settled_at_ms < $1 AND state = 'dead' LIMIT $2)";
const ATTEMPTS: &str = "DELETE FROM webhook_attempt WHERE started_at_ms < $1
    AND NOT EXISTS (SELECT 1 FROM webhook_message WHERE webhook_message.id = webhook_attempt.id)";

impl Outbox {
    /// Removes messages settled before `settled_before_ms`, dead letters before `dead_before_ms`, and
    /// the attempts of what is gone. Says how many messages went.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget(&self, settled_before_ms: i64, dead_before_ms: i64) -> Result<u64> {
        let mut gone = 0;
        for (statement, before) in [(SETTLED, settled_before_ms), (DEAD, dead_before_ms)] {
            loop {
                let count =
                    execute!(self, statement, before, ROWS).map_err(|error| self.failed(error))?;
                gone += count;
                if count < ROWS.unsigned_abs() {
                    break;
                }
            }
        }
        if gone > 0 {
            execute!(self, ATTEMPTS, settled_before_ms).map_err(|error| self.failed(error))?;
        }
        Ok(gone)
    }
}

//! Copies under way beside a stream: which these are, and how one hears of their end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::error::Result;
use crate::load::{Loaded, Totals};

/// How long copied tables wait for the others. Each regrouping has the log sent again from the snapshot on.
const PATIENCE: Duration = Duration::from_secs(60);

/// A copy that has ended, by its index in the unit.
pub type Copied = (usize, Result<(Totals, Loaded)>);

/// Copies that are under way.
pub struct Copying<Since> {
    /// The tables that are not done, and from where each needs changes.
    pub tables: BTreeMap<usize, Since>,
    /// Set when the tables that have been copied should be followed: all of them, or some for a while.
    pub regroup: Arc<AtomicBool>,
    ended: UnboundedReceiver<Copied>,
    task: JoinHandle<()>,
}

/// Where a copy says what became of it.
pub struct Ending {
    sender: UnboundedSender<Copied>,
    regroup: Arc<AtomicBool>,
    regrouped: Instant,
}

impl Ending {
    /// The copy of the table at `index` has ended.
    pub fn say(&mut self, index: usize, result: Result<(Totals, Loaded)>) {
        // Nobody listens any more when the run has ended.
        let _ignored = self.sender.send((index, result));
        if self.regrouped.elapsed() >= PATIENCE {
            self.regrouped = Instant::now();
            self.regroup.store(true, Ordering::Release);
        }
    }
}

impl<Since> Copying<Since> {
    /// Begins `work`, which copies `tables`.
    pub fn begin<Work>(tables: BTreeMap<usize, Since>, work: impl FnOnce(Ending) -> Work) -> Self
    where
        Work: Future<Output = ()> + Send + 'static,
    {
        let (sender, ended) = unbounded_channel();
        let regroup = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&regroup);
        let work =
            work(Ending { sender, regroup: Arc::clone(&regroup), regrouped: Instant::now() });
        let task = tokio::spawn(async move {
            work.await;
            flag.store(true, Ordering::Release);
        });
        Self { tables, regroup, ended, task }
    }

    /// The copies that have ended by now, and those that have not.
    #[must_use]
    pub fn harvest(mut self) -> (Vec<Copied>, Option<Self>) {
        self.regroup.store(false, Ordering::Release);
        let mut copied = Vec::new();
        while let Ok(one) = self.ended.try_recv() {
            self.tables.remove(&one.0);
            copied.push(one);
        }
        let is_done = self.task.is_finished() && self.ended.is_empty();
        (copied, (!is_done).then_some(self))
    }

    /// Waits until a table can be followed, and a little longer for more.
    pub async fn wait(mut self) -> (Vec<Copied>, Option<Self>) {
        let started = Instant::now();
        let mut copied = Vec::new();
        while let Some(one) = self.ended.recv().await {
            self.tables.remove(&one.0);
            copied.push(one);
            if started.elapsed() >= PATIENCE && copied.iter().any(|(_, it)| it.is_ok()) {
                return (copied, Some(self));
            }
        }
        (copied, None)
    }

    /// Waits until nothing runs any more; the copies that nobody has seen.
    pub async fn join(mut self) -> Vec<Copied> {
        let mut copied = Vec::new();
        while let Some(one) = self.ended.recv().await {
            copied.push(one);
        }
        // A panic of a reader has been reported as the failure of its table.
        let _ignored = self.task.await;
        copied
    }
}

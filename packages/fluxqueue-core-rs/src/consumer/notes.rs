//! The notes of running tasks: their progress, and the checkpoint from which another
//! attempt goes on. The last value wins. An exchange takes the notes along, a few times a second.
//!
//! Why: docs/decisions/0114-notes-travel-a-few-times-a-second.md

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use super::outcome::{Outcome, Settlement};
use super::work::Work;
use crate::message::{self, KeptResult, Message};

/// The shortest time between two exchanges of a queue that carry notes.
const PAUSE: Duration = Duration::from_millis(250);

/// The most notes that one exchange carries.
const MOST_NOTES: usize = 200;

/// The notes of one attempt.
pub struct Note {
    /// The claim that it belongs to.
    pub serial: u64,
    message: Message,
    field: Bytes,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    /// The last progress that was not taken.
    progress: Option<KeptResult>,
    /// The last checkpoint of this attempt, as JSON.
    checkpoint: Option<Bytes>,
    /// The checkpoint has not been taken.
    has_news: bool,
    /// It waits for an exchange.
    is_queued: bool,
}

impl Note {
    /// The note of an attempt, with nothing on it.
    pub fn new(work: &Work) -> Note {
        let (message, field) = (Message::clone(&work.message), work.message.field_bytes());
        Note { serial: work.serial, message, field, pages: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The field of the attempt.
    pub fn field(&self) -> &Bytes {
        &self.field
    }

    /// The message with the last checkpoint. None: this attempt has made none.
    pub fn message(&self) -> Option<Bytes> {
        Some(message::with_checkpoint(&self.message, &self.checkpoint()?))
    }

    /// The last checkpoint of this attempt, as JSON.
    pub fn checkpoint(&self) -> Option<Bytes> {
        self.lock().checkpoint.clone()
    }

    /// Notes progress. Returns true if the note must be queued.
    #[must_use]
    pub fn report(&self, progress: KeptResult) -> bool {
        let mut pages = self.lock();
        pages.progress = Some(progress);
        !std::mem::replace(&mut pages.is_queued, true)
    }

    /// Notes a checkpoint, which is JSON. Returns true if the note must be queued.
    #[must_use]
    pub fn save(&self, checkpoint: Bytes) -> bool {
        let mut pages = self.lock();
        (pages.checkpoint, pages.has_news) = (Some(checkpoint), true);
        !std::mem::replace(&mut pages.is_queued, true)
    }

    fn take(&self) -> Settlement {
        let mut pages = self.lock();
        pages.is_queued = false;
        let news = if std::mem::take(&mut pages.has_news) { pages.checkpoint.as_ref() } else { None };
        let message = news.map(|checkpoint| message::with_checkpoint(&self.message, checkpoint));
        let progress = pages.progress.take().map(Box::new);
        Settlement { field: self.field.clone(), outcome: Outcome::Noted { progress, message } }
    }
}

/// The notes of one queue that wait for an exchange.
#[derive(Default)]
pub struct Notes {
    queued: VecDeque<Arc<Note>>,
    /// No exchange carries notes before this moment.
    not_before: Duration,
}

impl Notes {
    /// Adds a note. Returns whether it is the first: the driver must learn of it.
    pub fn push(&mut self, note: Arc<Note>) -> bool {
        self.queued.push_back(note);
        self.queued.len() == 1
    }

    /// When the notes leave. None: there are none.
    pub fn due(&self) -> Option<Duration> {
        (!self.queued.is_empty()).then_some(self.not_before)
    }

    /// Takes the notes that leave at `now`. The one that exceeds `bytes` is the last. Drops those
    /// for which `runs` is false: their outcome knows better.
    pub fn take(&mut self, now: Duration, mut bytes: usize, runs: impl Fn(&Note) -> bool) -> Vec<Settlement> {
        let mut taken = Vec::new();
        if self.due().is_none_or(|due| now < due) {
            return taken;
        }
        while taken.len() < MOST_NOTES && bytes > 0 {
            let Some(note) = self.queued.pop_front() else { break };
            if runs(&note) {
                let noted = note.take();
                bytes = bytes.saturating_sub(noted.bytes());
                taken.push(noted);
            }
        }
        if !taken.is_empty() {
            self.not_before = now + PAUSE;
        }
        taken
    }
}

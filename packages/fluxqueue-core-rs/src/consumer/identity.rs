//! The consumer ids of one queue's conversations, and the commands that carry them.
//!
//! Each conversation has a separate id, which is its fencing token: after a break the next
//! conversation gets a new id, and its `open` ends the old ones.

use bytes::Bytes;

use super::options::Options;
use super::outcome::{EffectKeys, Settlement};
use super::report::Asked;
use super::requests;
use super::scripts::Scripts;
use crate::connection::{Args, Call, command};
use crate::ids;
use crate::keys::Namespace;

/// The consumer of one queue.
pub struct Identity {
    namespace: Namespace,
    name: String,
    /// The first keys of every call of a script.
    keys: Args,
    current: String,
    /// Ids of broken conversations, which Redis may still know.
    olds: Vec<String>,
    /// `open` was sent under the current id, so Redis may know it.
    is_used: bool,
    /// The start of the keys of results.
    results: String,
}

impl Identity {
    /// A new consumer of the queue.
    pub fn new(namespace: &Namespace, name: &str) -> Identity {
        let mut keys = Args::default();
        for key in namespace.of_queue(name) {
            keys.push(key.as_bytes());
        }
        Identity {
            namespace: namespace.clone(),
            name: name.to_owned(),
            keys,
            current: ids::consumer_id(),
            olds: Vec::new(),
            is_used: false,
            results: namespace.result_prefix(name),
        }
    }

    /// The queue's name.
    pub fn queue_name(&self) -> &str {
        &self.name
    }

    /// The id of this conversation.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// Makes a new id for the next conversation, if Redis may know the current one.
    pub fn renew(&mut self) {
        if std::mem::take(&mut self.is_used) {
            self.olds.push(std::mem::replace(&mut self.current, ids::consumer_id()));
        }
    }

    /// Records that the server refused `open`, so Redis does not know the id.
    pub fn is_unknown(&mut self) {
        self.is_used = false;
    }

    /// Forgets the old ids: `open` has succeeded, so they are tombstones.
    pub fn forget_olds(&mut self) {
        self.olds.clear();
    }

    /// A call with the keys of the queue and of `consumer`.
    fn call_for(&self, consumer: &str) -> Call {
        let mut call = Call::new(&self.keys);
        self.add_keys_of(consumer, &mut call);
        call
    }

    fn add_keys_of(&self, consumer: &str, call: &mut Call) {
        for key in self.namespace.of_consumer(&self.name, consumer) {
            call.keys.push(key.as_bytes());
        }
    }

    /// A call of `open`, which ends the old ids. It opens no id if `new` is empty.
    fn call_open(&self, new: &str, options: &Options, keeps: &[Bytes]) -> Call {
        let mut call = self.call_for(new);
        call.keys.push(self.namespace.workers(&self.name).as_bytes());
        for old in &self.olds {
            self.add_keys_of(old, &mut call);
        }
        requests::open(&mut call, new, options.lease_ms(), &options.who, &self.olds, keeps);
        call
    }

    /// Writes the command that registers the queue.
    pub fn write_registration(&self, out: &mut Vec<u8>) {
        command(out, [b"SADD".as_slice(), self.namespace.queues().as_bytes(), self.name.as_bytes()]);
    }

    /// Writes `open`. Rule 3: it names the fields that this worker `keeps`, and Redis releases
    /// the rest. Rule 4: it names every old id.
    pub fn write_open(&mut self, out: &mut Vec<u8>, scripts: &Scripts, options: &Options, keeps: &[Bytes]) {
        self.call_open(&self.current, options, keeps).eval(out, &scripts.open);
        self.is_used = true;
    }

    /// Writes `open` with no new id, the last request of a drained worker.
    pub fn write_close(&mut self, out: &mut Vec<u8>, scripts: &Scripts, options: &Options) {
        self.olds.push(self.current.clone());
        self.call_open("", options, &[]).eval(out, &scripts.open);
        self.olds.pop();
    }

    /// Writes `exchange`, with the script's `text` if the server does not have the script.
    pub fn write_exchange(
        &self,
        out: &mut Vec<u8>,
        scripts: &Scripts,
        options: &Options,
        settlements: &[Settlement],
        asked: &Asked,
        text: bool,
    ) {
        let is_sharded = options.is_cluster && scripts.knows_shards;
        let effects = EffectKeys { namespace: &self.namespace, prefix: &self.results, is_sharded };
        let what = requests::Exchange {
            consumer: &self.current,
            lease_ms: options.lease_ms(),
            claim: asked.tasks,
            suspects: options.suspects,
            save_dead: options.save_dead,
            grace_ms: options.unknown_grace,
            effects,
            watch: asked
                .watch
                .as_ref()
                .map(|watch| (watch, self.namespace.of_watch(&self.name, watch.start, &self.current))),
        };
        let mut call = self.call_for(&self.current);
        requests::exchange(&mut call, &what, settlements);
        let write = if text { Call::eval } else { Call::evalsha };
        write(&call, out, &scripts.exchange);
    }

    /// Writes the BLMOVE that waits for the next task.
    pub fn write_block(&self, out: &mut Vec<u8>, suspects: bool, seconds: f64) {
        let keys = &self.namespace;
        let source = if suspects { keys.suspects(&self.name) } else { keys.pending(&self.name) };
        let inbox = keys.inbox(&self.name, &self.current);
        let seconds = format!("{seconds:.3}");
        let parts: [&[u8]; 6] = [b"BLMOVE", source.as_bytes(), inbox.as_bytes(), b"RIGHT", b"LEFT", seconds.as_bytes()];
        command(out, parts);
    }
}

//! `fastn.state`: small values that workflows keep, by customer. They change only with the journal record that says so.

use std::collections::HashMap;
use std::sync::Arc;

use fastn_domain::journal::StateWrite;
use fastn_domain::scope::Scope;
use fastn_domain::time::Timestamp;

/// The state of every customer of a partition.
#[derive(Debug, Default)]
pub(super) struct StateSpace {
    customers: HashMap<Arc<Scope>, Customer>,
}

#[derive(Debug, Default)]
struct Customer {
    entries: HashMap<(String, String), Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    value: Arc<str>,
    expires: Option<Timestamp>,
    /// The journal record that says so.
    seq: u64,
}

impl StateSpace {
    /// The value that has not expired at `now`.
    pub(super) fn get(&self, scope: &Scope, space: &str, key: &str, now: Timestamp) -> Option<&Arc<str>> {
        let entry = self.customers.get(scope)?.entries.get(&(space.to_owned(), key.to_owned()))?;
        entry.expires.is_none_or(|expires| expires > now).then_some(&entry.value)
    }

    /// Bytes that `scope` would hold after `write`.
    pub(super) fn bytes_after(&self, scope: &Scope, write: &StateWrite) -> usize {
        let customer = self.customers.get(scope);
        let held = customer.map_or(0, |customer| customer.bytes);
        let old = customer
            .and_then(|customer| customer.entries.get(&(write.space.clone(), write.key.clone())))
            .map_or(0, |entry| size(&write.space, &write.key, &entry.value));
        let new = write.value.as_deref().map_or(0, |value| size(&write.space, &write.key, value));
        held - old + new
    }

    /// Applies a write that journal record `seq` says.
    pub(super) fn apply(&mut self, scope: &Arc<Scope>, write: &StateWrite, seq: u64) {
        let bytes = self.bytes_after(scope, write);
        let customer = self.customers.entry(Arc::clone(scope)).or_default();
        let key = (write.space.clone(), write.key.clone());
        match &write.value {
            Some(value) => {
                let entry = Entry { value: Arc::from(value.as_str()), expires: write.expires, seq };
                customer.entries.insert(key, entry);
            }
            None => {
                customer.entries.remove(&key);
            }
        }
        customer.bytes = bytes;
        if customer.entries.is_empty() {
            self.customers.remove(scope);
        }
    }

    /// The writes that delete all that `scope` holds, in a fixed order.
    pub(super) fn deletions(&self, scope: &Arc<Scope>) -> Vec<StateWrite> {
        let entries = self.customers.get(scope).into_iter().flat_map(|customer| customer.entries.keys());
        let deletion = |(space, key): &(String, String)| StateWrite {
            space: space.clone(),
            key: key.clone(),
            value: None,
            expires: None,
        };
        let mut writes: Vec<StateWrite> = entries.map(deletion).collect();
        writes.sort_by(|a, b| (&a.space, &a.key).cmp(&(&b.space, &b.key)));
        writes
    }

    /// Drops a whole space, such as that of an execution that ended.
    pub(super) fn drop_space(&mut self, scope: &Arc<Scope>, space: &str) {
        let Some(customer) = self.customers.get_mut(scope) else { return };
        let mut freed = 0;
        customer.entries.retain(|(entry_space, key), entry| {
            let keep = entry_space != space;
            if !keep {
                freed += size(entry_space, key, &entry.value);
            }
            keep
        });
        customer.bytes -= freed;
        if customer.entries.is_empty() {
            self.customers.remove(scope);
        }
    }

    /// The entries that only records below `seq` tell, by customer; expired ones are dropped instead. They count as told
    /// by record `next` on, one record a customer.
    pub(super) fn say_again(&mut self, seq: u64, next: u64, now: Timestamp) -> Vec<(Arc<Scope>, Vec<StateWrite>)> {
        let mut said = Vec::new();
        for (scope, customer) in &mut self.customers {
            let mut bytes = 0;
            customer.entries.retain(|(space, key), entry| {
                let keep = entry.expires.is_none_or(|expires| expires > now);
                bytes += if keep { size(space, key, &entry.value) } else { 0 };
                keep
            });
            customer.bytes = bytes;
            let at = next + said.len() as u64;
            let old = customer.entries.iter_mut().filter(|(_, entry)| entry.seq < seq);
            let mut entries: Vec<StateWrite> = old
                .map(|((space, key), entry)| {
                    entry.seq = at;
                    let value = Some(entry.value.to_string());
                    StateWrite { space: space.clone(), key: key.clone(), value, expires: entry.expires }
                })
                .collect();
            if !entries.is_empty() {
                entries.sort_by(|a, b| (&a.space, &a.key).cmp(&(&b.space, &b.key)));
                said.push((Arc::clone(scope), entries));
            }
        }
        self.customers.retain(|_, customer| !customer.entries.is_empty());
        said
    }
}

fn size(space: &str, key: &str, value: &str) -> usize {
    space.len() + key.len() + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: &str, value: Option<&str>) -> StateWrite {
        StateWrite { space: "s".into(), key: key.into(), value: value.map(str::to_owned), expires: None }
    }

    /// Property: the bytes counted are those of the entries held, whatever was written, overwritten and deleted.
    #[test]
    fn bytes_follow_writes() {
        let scope = Arc::new(Scope::parse("a", "c").unwrap());
        let mut state = StateSpace::default();
        state.apply(&scope, &write("k", Some("12345")), 1);
        state.apply(&scope, &write("k", Some("1")), 2);
        assert_eq!(state.bytes_after(&scope, &write("x", Some("12"))), 3 + 4);
        assert_eq!(state.get(&scope, "s", "k", Timestamp(0)).unwrap().as_ref(), "1");
        state.apply(&scope, &write("k", None), 3);
        assert!(state.customers.is_empty());
    }
}

//! Events in every form of `/v1/events`: plain, batches, CloudEvents structured, batch and binary.
#![no_main]

use fastn_contract::command::BATCH_EVENTS_MAX;
use fastn_domain::event::EVENT_DATA_BYTES_MAX;
use fastn_domain::{Scope, Timestamp};
use fastn_fuzz::request;
use fastn_ingest::parse_events;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let (headers, body) = request(input);
    let scope = Scope::parse("main", "acme").expect("both are ids");
    match parse_events(&headers, body, scope.clone(), Timestamp(0)) {
        Ok((events, batch)) => {
            assert!((1..=BATCH_EVENTS_MAX).contains(&events.len()) && (batch || events.len() == 1));
            for event in events {
                assert!(event.data.len() <= EVENT_DATA_BYTES_MAX && event.scope == scope && !event.kind.is_empty());
                serde_json::from_str::<Value>(&event.data).expect("data is JSON that every reader can read");
            }
        }
        Err(problem) => assert!((400..500).contains(&problem.status) && problem.errors.len() <= 50),
    }
});

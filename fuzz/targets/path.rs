//! Paths into payloads: parsed and followed. The first line is a path, the rest a payload.
#![no_main]

use fastn_domain::path::{PATH_BYTES_MAX, Path};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &str| {
    let (path, data) = input.split_once('\n').unwrap_or((input, "null"));
    match Path::parse(path) {
        Ok(path) => {
            let data = serde_json::from_str(data).unwrap_or(Value::Null);
            let _ = path.find(&data);
        }
        Err(error) => assert!(error.at >= 1 && error.at <= path.len().min(PATH_BYTES_MAX) + 1, "{error}"),
    }
});

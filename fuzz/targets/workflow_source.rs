//! Workflow source: any text either compiles or is refused with a place in it, and never takes the process down.
#![no_main]

use fastn_pipeline::runtime::compile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    if let Err(error) = compile(source, "workflows/fuzz.ts") {
        assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty());
        assert!(error.line as usize <= source.lines().count() + 1, "{error:?}");
    }
});

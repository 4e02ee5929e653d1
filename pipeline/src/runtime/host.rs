//! What a sandbox can reach outside of its own memory: a handful of native functions that take and give text.
//!
//! They collect what the running slice asks for (`Host`), and compute pure things that are costly in JavaScript. None of
//! them reads a clock, a disk or a network. A call crosses the border with one string, not object by object.

#![allow(unsafe_code)] // Functions called by C, and the raw values that they are given.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rquickjs::qjs;

use super::web;

/// The longest answer of one call for random bytes, as in browsers.
const RANDOM_BYTES_MAX: usize = 65_536;
/// Rejections nobody listened to that are told of one slice.
const UNHEARD_MAX: usize = 20;

/// What one slice has produced so far, and the limits that it runs under.
#[derive(Default)]
pub(crate) struct Host {
    /// Requests in the order in which they were made, each the JSON of an `OpRequest`.
    pub(crate) ops: Vec<String>,
    pub(crate) logs: Vec<(String, String)>,
    pub(crate) steps: Vec<StepNote>,
    /// Promises that were rejected while nobody listened, by their address, and with what.
    pub(crate) unheard: Vec<(usize, String)>,
    /// The end of the workflow: completed or not, and its JSON.
    pub(crate) done: Option<(bool, String)>,
    /// The root of the sandbox's random bytes.
    pub(crate) seed: [u8; 32],
    /// Thread CPU time at which the slice is stopped.
    pub(crate) cpu_deadline_ns: u64,
    /// The slice passed its CPU deadline.
    pub(crate) interrupted: bool,
    /// A native function panicked; its sandbox cannot be trusted any further.
    pub(crate) panicked: bool,
}

/// A `ctx.step` that began or ended.
pub(crate) enum StepNote {
    Begin { key: String, name: String },
    End { key: String, completed: bool, attempts: u32, text: String },
}

impl Host {
    /// Forgets everything that belongs to the sandbox that ran last.
    pub(crate) fn clear(&mut self) {
        *self = Self { seed: [0; 32], ..Self::default() };
    }
}

/// CPU time that this thread has used, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Stops the machine once the slice has used its CPU time. QuickJS calls it every few thousand steps.
pub(crate) unsafe extern "C" fn interrupt(_rt: *mut qjs::JSRuntime, opaque: *mut c_void) -> c_int {
    // SAFETY: the opaque value is the engine's boxed host, and the engine's thread is the only one that runs this.
    let host = unsafe { &mut *opaque.cast::<Host>() };
    if thread_cpu_ns() >= host.cpu_deadline_ns {
        host.interrupted = true;
    }
    c_int::from(host.interrupted)
}

/// Notes a promise that is rejected while nobody listens, and forgets it when somebody does after all.
pub(crate) unsafe extern "C" fn rejection(
    ctx: *mut qjs::JSContext,
    promise: qjs::JSValue,
    reason: qjs::JSValue,
    handled: bool,
    opaque: *mut c_void,
) {
    // SAFETY: as in `interrupt`; the values belong to the running context.
    let (host, address) = unsafe { (&mut *opaque.cast::<Host>(), qjs::JS_VALUE_GET_PTR(promise).addr()) };
    if handled {
        host.unheard.retain(|(known, _)| *known != address);
    } else if host.unheard.len() < UNHEARD_MAX && !host.interrupted {
        // SAFETY: as above.
        let text = unsafe { string_of(ctx, reason) }.unwrap_or_default();
        host.unheard.push((address, text));
    }
}

/// The native functions, by their place in this list.
pub(crate) const NATIVES: [&std::ffi::CStr; 9] =
    [c"op", c"log", c"stepBegin", c"stepEnd", c"done", c"random", c"utf8", c"text", c"url"];

/// The one entry point of all native functions; `magic` is the place in `NATIVES`.
pub(crate) unsafe extern "C" fn native(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    argc: c_int,
    argv: *mut qjs::JSValue,
    magic: c_int,
) -> qjs::JSValue {
    // SAFETY: QuickJS passes `argc` values, and the runtime's opaque value is the engine's boxed host.
    let (args, host) = unsafe {
        let args = if argc > 0 { std::slice::from_raw_parts(argv, argc as usize) } else { &[] };
        (Args { ctx, args }, &mut *qjs::JS_GetRuntimeOpaque(qjs::JS_GetRuntime(ctx)).cast::<Host>())
    };
    match catch_unwind(AssertUnwindSafe(|| answer(host, &args, magic))) {
        Ok(Some(value)) => value,
        Ok(None) => qjs::JS_UNDEFINED,
        Err(_) => {
            host.panicked = true;
            host.interrupted = true;
            qjs::JS_UNDEFINED
        }
    }
}

fn answer(host: &mut Host, args: &Args<'_>, magic: c_int) -> Option<qjs::JSValue> {
    match magic {
        0 => host.ops.push(args.text(0)?),
        1 => host.logs.push((args.text(0)?, args.text(1)?)),
        2 => host.steps.push(StepNote::Begin { key: args.text(0)?, name: args.text(1)? }),
        3 => host.steps.push(StepNote::End {
            key: args.text(0)?,
            completed: args.int(1) == 1,
            attempts: args.int(2).max(1) as u32,
            text: args.text(3)?,
        }),
        4 => host.done = Some((args.int(0) == 1, args.text(1)?)),
        5 => return Some(args.buffer(&random(&host.seed, args.int(0), args.int(1)))),
        6 => return Some(args.buffer(args.text(0)?.as_bytes())),
        7 => return Some(args.string(&String::from_utf8_lossy(args.bytes(0)?))),
        _ => return Some(args.string(&web::url(&args.text(0)?, &args.text(1)?, &args.text(2)?)?)),
    }
    None
}

/// `count` bytes that depend on nothing but the seed and the number of the call.
fn random(seed: &[u8; 32], call: i32, count: i32) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(count).unwrap_or(0).min(RANDOM_BYTES_MAX)];
    blake3::Hasher::new_keyed(seed).update(&call.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The arguments of one native call.
struct Args<'a> {
    ctx: *mut qjs::JSContext,
    args: &'a [qjs::JSValue],
}

impl Args<'_> {
    /// Argument `index` as text; none if there is none, or if it cannot be turned into text.
    fn text(&self, index: usize) -> Option<String> {
        // SAFETY: the value belongs to the running context.
        unsafe { string_of(self.ctx, *self.args.get(index)?) }
    }

    fn int(&self, index: usize) -> i32 {
        let Some(value) = self.args.get(index) else { return 0 };
        let mut number = 0;
        // SAFETY: as in `text`.
        unsafe { qjs::JS_ToInt32(self.ctx, &mut number, *value) };
        number
    }

    fn bytes(&self, index: usize) -> Option<&[u8]> {
        let mut len = 0;
        // SAFETY: the buffer cannot move or shrink while this native call runs.
        unsafe {
            let start = qjs::JS_GetArrayBuffer(self.ctx, &mut len, *self.args.get(index)?);
            (!start.is_null()).then(|| std::slice::from_raw_parts(start, len as usize))
        }
    }

    fn string(&self, text: &str) -> qjs::JSValue {
        // SAFETY: QuickJS copies the bytes.
        unsafe { qjs::JS_NewStringLen(self.ctx, text.as_ptr().cast(), text.len() as qjs::size_t) }
    }

    fn buffer(&self, bytes: &[u8]) -> qjs::JSValue {
        // SAFETY: QuickJS copies the bytes.
        unsafe { qjs::JS_NewArrayBufferCopy(self.ctx, bytes.as_ptr(), bytes.len() as qjs::size_t) }
    }
}

/// The text of a value, with lone surrogates replaced. None if making the text threw.
///
/// # Safety
/// `value` must belong to `ctx`, on its own thread.
pub(crate) unsafe fn string_of(ctx: *mut qjs::JSContext, value: qjs::JSValue) -> Option<String> {
    let mut len = 0;
    // SAFETY: the bytes are copied before they are freed.
    unsafe {
        let start = qjs::JS_ToCStringLen2(ctx, &mut len, value, false);
        if start.is_null() {
            qjs::JS_FreeValue(ctx, qjs::JS_GetException(ctx));
            return None;
        }
        let bytes = std::slice::from_raw_parts(start.cast::<u8>(), len as usize);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(),
        };
        qjs::JS_FreeCString(ctx, start);
        Some(text)
    }
}

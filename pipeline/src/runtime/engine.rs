//! A QuickJS machine on one thread: made once, copied for every sandbox.
//!
//! The engine builds a runtime, a context and the prelude in its region, keeps that as the template, and from then on a
//! sandbox starts by copying the template, waits as an image and continues by copying the image back. Nothing is ever
//! torn down: whatever state a failed or runaway sandbox leaves behind is overwritten by the next one. One engine belongs
//! to one thread.

#![allow(unsafe_code)] // The QuickJS C interface.

use std::ffi::{CStr, c_int};
use std::ptr;

use rquickjs::qjs;

use super::bytecode;
use super::heap::{ALLOCATOR, Image, Region, Template};
use super::host::{Host, NATIVES, interrupt, native, rejection, string_of, thread_cpu_ns};

/// Stack that JavaScript may use; the thread has more, for the native functions at the end of a deep chain.
const JS_STACK_BYTES_MAX: usize = 1 << 20;
/// Stack of a thread that runs an engine.
pub(crate) const THREAD_STACK_BYTES: usize = 4 << 20;
/// Cycles are looked for once a sandbox holds this much; most never do.
const GC_START_BYTES: usize = 4 << 20;
/// Jobs that a stopped sandbox may still run, so that the error can reach the workflow's own promise and name its line.
const JOBS_AFTER_STOP_MAX: usize = 64;

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The system refused the address space.
    #[error("reserving {bytes} bytes of address space for workflow sandboxes: {source}")]
    Reserve {
        /// Bytes asked for.
        bytes: usize,
        /// The system's answer.
        source: std::io::Error,
    },
    /// QuickJS refused the prelude, which is a fault of this build.
    #[error("preparing the workflow sandbox: {0}")]
    Prelude(String),
}

/// An exception that left the machine.
#[derive(Debug, Default)]
pub(crate) struct Thrown {
    pub(crate) message: String,
    pub(crate) stack: String,
}

/// Functions of the prelude that the engine calls.
struct Entry {
    setup: qjs::JSValue,
    run: qjs::JSValue,
    deliver: qjs::JSValue,
    next: qjs::JSValue,
}

/// The machine. See the head of this file.
pub(crate) struct Engine {
    rt: *mut qjs::JSRuntime,
    ctx: *mut qjs::JSContext,
    entry: Entry,
    template: Template,
    host: Box<Host>,
    region: Region,
}

impl Engine {
    /// Builds a machine whose sandboxes may each hold `memory_bytes_max`.
    pub(crate) fn new(memory_bytes_max: usize) -> Result<Self, EngineError> {
        let bytes = memory_bytes_max.next_multiple_of(4096);
        let region = Region::reserve(bytes).map_err(|source| EngineError::Reserve { bytes, source })?;
        let mut host = Box::<Host>::default();
        host.cpu_deadline_ns = u64::MAX;
        let code = bytecode::prelude().map_err(|thrown| EngineError::Prelude(thrown.message.clone()))?;
        // SAFETY: the region and the host outlive the runtime, which is only ever used by this thread.
        let (rt, ctx, entry) = unsafe { boot(&region, &mut host, code) }
            .map_err(|thrown| EngineError::Prelude(format!("{}\n{}", thrown.message, thrown.stack)))?;
        let template = region.template();
        Ok(Self { rt, ctx, entry, template, host, region })
    }

    pub(crate) fn host(&mut self) -> &mut Host {
        &mut self.host
    }

    /// Begins a fresh sandbox.
    pub(crate) fn reset(&mut self) {
        self.host.clear();
        self.region.reset(&self.template);
    }

    /// The present sandbox as an image.
    pub(crate) fn save(&mut self) -> Image {
        self.region.save(&self.template)
    }

    /// Continues the sandbox that `image` was saved from.
    pub(crate) fn load(&mut self, image: &Image) {
        self.host.clear();
        self.region.load(&self.template, image);
    }

    /// Bytes that the present sandbox occupies.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.region.top()
    }

    /// Whether the present sandbox has ever asked for more memory than it may have.
    pub(crate) fn refused(&self) -> bool {
        self.region.refused() > 0
    }

    /// Gives the sandbox its context, loads its module and calls the default export.
    pub(crate) fn begin(&mut self, context: &str, input: &str, code: &[u8]) -> Result<(), Thrown> {
        // SAFETY: values are created in, and given to, the context of this thread; every owned value is freed once.
        unsafe {
            self.enter();
            self.call(self.entry.setup, &[context, input])?;
            let flags = qjs::JS_READ_OBJ_BYTECODE as c_int;
            let module = qjs::JS_ReadObject(self.ctx, code.as_ptr(), code.len() as qjs::size_t, flags);
            if qjs::JS_IsException(module) || qjs::JS_ResolveModule(self.ctx, module) < 0 {
                return Err(take_exception(self.ctx));
            }
            let definition = qjs::JS_VALUE_GET_PTR(module).cast::<qjs::JSModuleDef>();
            let loaded = qjs::JS_EvalFunction(self.ctx, module);
            if qjs::JS_IsException(loaded) {
                return Err(take_exception(self.ctx));
            }
            let namespace = qjs::JS_GetModuleNamespace(self.ctx, definition);
            let mut args = [loaded, namespace];
            let answer = qjs::JS_Call(self.ctx, self.entry.run, qjs::JS_UNDEFINED, 2, args.as_mut_ptr());
            qjs::JS_FreeValue(self.ctx, loaded);
            qjs::JS_FreeValue(self.ctx, namespace);
            self.finish(answer).map(drop)
        }
    }

    /// Settles the promise of the request `key`, moving the sandbox's clock to `at_ms`.
    pub(crate) fn deliver(&mut self, key: &str, at_ms: i64, ok: bool, json: &str) -> Result<(), Thrown> {
        // SAFETY: as in `begin`.
        unsafe {
            self.enter();
            let mut args = [
                self.string(key)?,
                qjs::JS_NewFloat64(at_ms as f64),
                if ok { qjs::JS_TRUE } else { qjs::JS_FALSE },
                self.string(json)?,
            ];
            let answer = qjs::JS_Call(self.ctx, self.entry.deliver, qjs::JS_UNDEFINED, 4, args.as_mut_ptr());
            qjs::JS_FreeValue(self.ctx, args[0]);
            qjs::JS_FreeValue(self.ctx, args[3]);
            self.finish(answer).map(drop)
        }
    }

    /// Begins the next step that waits for its turn; false when there is none.
    pub(crate) fn next_step(&mut self) -> Result<bool, Thrown> {
        // SAFETY: as in `begin`.
        unsafe {
            self.enter();
            let answer = qjs::JS_Call(self.ctx, self.entry.next, qjs::JS_UNDEFINED, 0, ptr::null_mut());
            self.finish(answer)
        }
    }

    /// Runs the job queue until it is empty, or until the slice is stopped. Gives the exception that stopped it, if one
    /// came out.
    pub(crate) fn run_jobs(&mut self) -> Option<Thrown> {
        let (mut after_stop, mut stopped) = (0, None);
        // SAFETY: as in `begin`.
        unsafe {
            self.enter();
            loop {
                let mut ctx = ptr::null_mut();
                match qjs::JS_ExecutePendingJob(self.rt, &mut ctx) {
                    0 => return stopped,
                    1 => {}
                    _ => {
                        let thrown = take_exception(self.ctx);
                        if self.host.interrupted && stopped.is_none() {
                            stopped = Some(thrown);
                        }
                    }
                }
                if self.host.interrupted {
                    after_stop += 1;
                    if after_stop > JOBS_AFTER_STOP_MAX {
                        return stopped;
                    }
                }
            }
        }
    }

    /// Starts the CPU clock of a slice that may use `ns`.
    pub(crate) fn limit_cpu(&mut self, ns: u64) -> u64 {
        let now = thread_cpu_ns();
        self.host.cpu_deadline_ns = now.saturating_add(ns);
        now
    }

    unsafe fn enter(&self) {
        unsafe { qjs::JS_UpdateStackTop(self.rt) };
    }

    unsafe fn string(&self, text: &str) -> Result<qjs::JSValue, Thrown> {
        unsafe {
            let value = qjs::JS_NewStringLen(self.ctx, text.as_ptr().cast(), text.len() as qjs::size_t);
            if qjs::JS_IsException(value) { Err(take_exception(self.ctx)) } else { Ok(value) }
        }
    }

    unsafe fn call(&mut self, function: qjs::JSValue, texts: &[&str; 2]) -> Result<bool, Thrown> {
        unsafe {
            let mut args = [self.string(texts[0])?, self.string(texts[1])?];
            let answer = qjs::JS_Call(self.ctx, function, qjs::JS_UNDEFINED, 2, args.as_mut_ptr());
            args.iter().for_each(|&arg| qjs::JS_FreeValue(self.ctx, arg));
            self.finish(answer)
        }
    }

    unsafe fn finish(&mut self, answer: qjs::JSValue) -> Result<bool, Thrown> {
        unsafe {
            if qjs::JS_IsException(answer) {
                return Err(take_exception(self.ctx));
            }
            let truthy = qjs::JS_IsBool(answer) && qjs::JS_VALUE_GET_BOOL(answer);
            qjs::JS_FreeValue(self.ctx, answer);
            Ok(truthy)
        }
    }
}

/// Takes the pending exception, as text.
///
/// # Safety
/// `ctx` must be the context of this thread, with an exception pending.
pub(crate) unsafe fn take_exception(ctx: *mut qjs::JSContext) -> Thrown {
    unsafe {
        let error = qjs::JS_GetException(ctx);
        let mut thrown = Thrown { message: string_of(ctx, error).unwrap_or_default(), stack: String::new() };
        if qjs::JS_IsError(error) {
            let stack = qjs::JS_GetPropertyStr(ctx, error, c"stack".as_ptr());
            thrown.stack = string_of(ctx, stack).unwrap_or_default();
            qjs::JS_FreeValue(ctx, stack);
        }
        qjs::JS_FreeValue(ctx, error);
        thrown
    }
}

type Booted = (*mut qjs::JSRuntime, *mut qjs::JSContext, Entry);

/// Makes the runtime, a context with the intrinsics that are deterministic, and the prelude.
unsafe fn boot(region: &Region, host: &mut Host, code: &[u8]) -> Result<Booted, Thrown> {
    unsafe {
        let rt = qjs::JS_NewRuntime2(&ALLOCATOR, region.opaque());
        if rt.is_null() {
            return Err(Thrown { message: "no memory for a runtime".into(), ..Thrown::default() });
        }
        let opaque = ptr::from_mut(host).cast();
        qjs::JS_SetRuntimeOpaque(rt, opaque);
        qjs::JS_SetInterruptHandler(rt, Some(interrupt), opaque);
        qjs::JS_SetHostPromiseRejectionTracker(rt, Some(rejection), opaque);
        qjs::JS_SetMaxStackSize(rt, JS_STACK_BYTES_MAX as qjs::size_t);
        qjs::JS_SetGCThreshold(rt, GC_START_BYTES as qjs::size_t);
        let ctx = qjs::JS_NewContextRaw(rt);
        if ctx.is_null() {
            return Err(Thrown { message: "no memory for a context".into(), ..Thrown::default() });
        }
        // Neither Eval, nor WeakRef (garbage collection must not be observable), nor Performance (a clock).
        qjs::JS_AddIntrinsicBaseObjects(ctx);
        qjs::JS_AddIntrinsicDate(ctx);
        qjs::JS_AddIntrinsicRegExp(ctx);
        qjs::JS_AddIntrinsicJSON(ctx);
        qjs::JS_AddIntrinsicProxy(ctx);
        qjs::JS_AddIntrinsicMapSet(ctx);
        qjs::JS_AddIntrinsicTypedArrays(ctx);
        qjs::JS_AddIntrinsicPromise(ctx);
        qjs::JS_AddIntrinsicDOMException(ctx);
        qjs::JS_AddIntrinsicAToB(ctx);
        let function =
            qjs::JS_ReadObject(ctx, code.as_ptr(), code.len() as qjs::size_t, qjs::JS_READ_OBJ_BYTECODE as c_int);
        let install = owned(ctx, qjs::JS_EvalFunction(ctx, function))?;
        let mut natives = native_object(ctx);
        let api = owned(ctx, qjs::JS_Call(ctx, install, qjs::JS_UNDEFINED, 1, &mut natives))?;
        let get = |name: &CStr| owned(ctx, qjs::JS_GetPropertyStr(ctx, api, name.as_ptr()));
        let entry = Entry { setup: get(c"setup")?, run: get(c"run")?, deliver: get(c"deliver")?, next: get(c"next")? };
        for value in [install, natives, api] {
            qjs::JS_FreeValue(ctx, value);
        }
        qjs::JS_RunGC(rt);
        Ok((rt, ctx, entry))
    }
}

unsafe fn owned(ctx: *mut qjs::JSContext, value: qjs::JSValue) -> Result<qjs::JSValue, Thrown> {
    unsafe { if qjs::JS_IsException(value) { Err(take_exception(ctx)) } else { Ok(value) } }
}

/// An object that carries the native functions, for the prelude only.
unsafe fn native_object(ctx: *mut qjs::JSContext) -> qjs::JSValue {
    unsafe {
        let object = qjs::JS_NewObject(ctx);
        for (magic, name) in NATIVES.iter().enumerate() {
            let function = qjs::JSCFunctionType { generic_magic: Some(native) };
            let value = qjs::JS_NewCFunction2(
                ctx,
                function.generic,
                name.as_ptr(),
                0,
                qjs::JSCFunctionEnum_JS_CFUNC_generic_magic,
                magic as c_int,
            );
            qjs::JS_SetPropertyStr(ctx, object, name.as_ptr(), value);
        }
        object
    }
}

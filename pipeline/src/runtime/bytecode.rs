//! From JavaScript to QuickJS bytecode, in a throw-away machine that never runs what it compiles.

#![allow(unsafe_code)] // The QuickJS C interface.

use std::ffi::{CString, c_int};
use std::sync::OnceLock;

use rquickjs::qjs;

use super::engine::{Thrown, take_exception};

/// The prelude's parts, in order, inside one function scope.
const PRELUDE: &str = concat!(
    "(function (native) { 'use strict';\n",
    include_str!("prelude/clock.js"),
    include_str!("prelude/web.js"),
    include_str!("prelude/url.js"),
    include_str!("prelude/errors.js"),
    include_str!("prelude/scope.js"),
    include_str!("prelude/fetch.js"),
    include_str!("prelude/api.js"),
    include_str!("prelude/run.js"),
    "\nreturn { setup, run, deliver, next }; })"
);

/// The name that the prelude's own syntax errors show. Its bytecode carries no positions, to keep sandboxes small.
const PRELUDE_NAME: &str = "fastn:prelude";

/// What is compiled: a module keeps the positions that stack traces need, a script does not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Script,
    Module,
}

/// The prelude's bytecode, compiled once in the life of the process.
pub(crate) fn prelude() -> Result<&'static [u8], &'static Thrown> {
    static CODE: OnceLock<Result<Vec<u8>, Thrown>> = OnceLock::new();
    CODE.get_or_init(|| compile(PRELUDE, PRELUDE_NAME, Kind::Script)).as_ref().map(Vec::as_slice)
}

/// Compiles `source`. The positions in an error are those of `source`.
pub(crate) fn compile(source: &str, name: &str, kind: Kind) -> Result<Vec<u8>, Thrown> {
    let nul = |what: &str| Thrown { message: format!("the {what} contains a NUL character"), stack: String::new() };
    let text = CString::new(source).map_err(|_| nul("source"))?;
    let name = CString::new(name).map_err(|_| nul("file name"))?;
    // SAFETY: the runtime lives on this stack frame only, every value is freed before it, and the bytes are copied out.
    unsafe {
        let rt = qjs::JS_NewRuntime();
        if rt.is_null() {
            return Err(Thrown { message: "no memory for a compiler".into(), stack: String::new() });
        }
        let ctx = qjs::JS_NewContext(rt);
        if ctx.is_null() {
            qjs::JS_FreeRuntime(rt);
            return Err(Thrown { message: "no memory for a compiler".into(), stack: String::new() });
        }
        let kind = if kind == Kind::Module { qjs::JS_EVAL_TYPE_MODULE } else { qjs::JS_EVAL_TYPE_GLOBAL };
        let flags = (kind | qjs::JS_EVAL_FLAG_COMPILE_ONLY) as c_int;
        let value = qjs::JS_Eval(ctx, text.as_ptr(), source.len() as qjs::size_t, name.as_ptr(), flags);
        let strip = if kind == qjs::JS_EVAL_TYPE_MODULE { 0 } else { qjs::JS_WRITE_OBJ_STRIP_DEBUG };
        let result = if qjs::JS_IsException(value) { Err(take_exception(ctx)) } else { write(ctx, value, strip) };
        qjs::JS_FreeValue(ctx, value);
        qjs::JS_FreeContext(ctx);
        qjs::JS_FreeRuntime(rt);
        result
    }
}

unsafe fn write(ctx: *mut qjs::JSContext, value: qjs::JSValue, strip: u32) -> Result<Vec<u8>, Thrown> {
    unsafe {
        let mut len = 0;
        let flags = (qjs::JS_WRITE_OBJ_BYTECODE | qjs::JS_WRITE_OBJ_STRIP_SOURCE | strip) as c_int;
        let bytes = qjs::JS_WriteObject(ctx, &mut len, value, flags);
        if bytes.is_null() {
            return Err(take_exception(ctx));
        }
        let copy = std::slice::from_raw_parts(bytes, len as usize).to_vec();
        qjs::js_free(ctx, bytes.cast());
        Ok(copy)
    }
}

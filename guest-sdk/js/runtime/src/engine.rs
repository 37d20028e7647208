//! Starting QuickJS, compiling modules, and running one agent to its answer.

use crate::bindings::countersign::interpreter::interpreter;
use crate::bindings::{Card, Context, Intent, ToolError};
use crate::bundle::{Bundle, Module as Part};
use crate::natives;
use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::{Declared, WriteOptions};
use rquickjs::promise::PromiseState;
use rquickjs::{
    CatchResultExt, CaughtError, Ctx, Function, Module, Object, Persistent, Promise, Runtime, Value,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// How much of the stack JavaScript may use, in bytes. Beyond it a RangeError is thrown; with more, the host's own limit
/// would end the run first.
const STACK_BYTES_MAX: usize = 1024 * 1024;
/// Memory in use, in bytes, before the first collection of cycles: most runs end before it.
const COLLECT_BYTES: usize = 8 * 1024 * 1024;

/// What is kept in the image.
struct Engine {
    context: rquickjs::Context,
    /// `prelude.js` gives an object of functions.
    prelude: Persistent<Object<'static>>,
}

thread_local! {
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
    static RUNNING: Cell<bool> = const { Cell::new(false) };
    static PARTS: RefCell<Parts> = RefCell::default();
}

/// The modules at hand, for the loader.
#[derive(Default)]
struct Parts {
    sources: HashMap<String, Vec<u8>>,
    imports: HashMap<(String, String), String>,
    compiled: HashMap<String, Vec<u8>>,
}

pub fn is_running() -> bool {
    RUNNING.get()
}

pub fn error(code: &str, message: &str) -> ToolError {
    ToolError { code: code.into(), message: message.into(), details: None }
}

/// Starts the engine and everything that is the same in every run.
pub fn start() {
    // A fault of ours ends the run with a trap, which says nothing by itself.
    std::panic::set_hook(Box::new(|panic| {
        if is_running() {
            interpreter::print(&format!("the JavaScript engine failed: {panic}"));
        }
    }));
    let runtime = Runtime::new().expect("there is memory");
    runtime.set_max_stack_size(STACK_BYTES_MAX);
    runtime.set_gc_threshold(COLLECT_BYTES);
    runtime.set_loader(Names, Sources);
    let context = rquickjs::Context::full(&runtime).expect("there is memory");
    let (prelude, rejected) = context.with(|ctx| {
        let setup: Function = ctx
            .eval_with_options(include_str!("prelude.js"), options("countersign"))
            .catch(&ctx)
            .unwrap_or_else(|error| panic!("{error}"));
        let natives = natives::all(&ctx).expect("there is memory");
        let prelude: Object = setup.call((natives,)).catch(&ctx).unwrap_or_else(|error| panic!("{error}"));
        let rejected: Function = prelude.get("rejected").expect("the prelude has it");
        (Persistent::save(&ctx, prelude), Persistent::save(&ctx, rejected))
    });
    runtime.set_host_promise_rejection_tracker(Some(Box::new(move |ctx, promise, reason, seen| {
        if let Ok(rejected) = rejected.clone().restore(&ctx) {
            let _ = rejected.call::<_, ()>((promise, reason, seen));
        }
    })));
    runtime.run_gc();
    ENGINE.set(Some(Engine { context, prelude }));
}

fn options(name: &str) -> rquickjs::context::EvalOptions {
    let mut options = rquickjs::context::EvalOptions::default();
    options.filename = Some(name.into());
    options.strict = true;
    options
}

/// Compiles every module of a bundle of sources.
pub fn compile(bundle: Bundle) -> Result<Bundle, String> {
    PARTS.set(Parts {
        sources: bundle.modules.iter().map(|part| (part.name.clone(), part.code.clone())).collect(),
        imports: imports(&bundle),
        compiled: HashMap::new(),
    });
    with(|ctx, _| {
        for part in &bundle.modules {
            // Loading a module loads what it imports; what is there already is not loaded again.
            if !PARTS.with_borrow(|parts| parts.compiled.contains_key(&part.name)) {
                declare(&ctx, &part.name).catch(&ctx).map_err(|caught| place(&caught))?;
            }
        }
        let code = |name| PARTS.with_borrow_mut(|parts| parts.compiled.remove(name)).unwrap_or_default();
        let modules =
            bundle.modules.iter().map(|part| Part { code: code(&part.name), ..part.clone() }).collect();
        Ok(Bundle { modules, calls: bundle.calls })
    })
}

/// What does not compile, written as the builder writes it: place first.
fn place(caught: &CaughtError) -> String {
    let CaughtError::Exception(exception) = caught else { return caught.to_string() };
    let (message, stack) = (exception.message().unwrap_or_default(), exception.stack().unwrap_or_default());
    match stack.lines().next().and_then(|line| line.trim().strip_prefix("at ")) {
        Some(place) => format!("{place}: {message}"),
        None => message,
    }
}

fn declare<'js>(ctx: &Ctx<'js>, name: &str) -> rquickjs::Result<Module<'js, Declared>> {
    let source = PARTS.with_borrow(|parts| parts.sources.get(name).cloned());
    let module =
        Module::declare(ctx.clone(), name, source.ok_or_else(|| rquickjs::Error::new_loading(name))?)?;
    let bytecode = module.write(WriteOptions::default())?;
    PARTS.with_borrow_mut(|parts| parts.compiled.insert(name.to_owned(), bytecode));
    Ok(module)
}

fn imports(bundle: &Bundle) -> HashMap<(String, String), String> {
    let mut found = HashMap::new();
    for part in &bundle.modules {
        for (specifier, name) in &part.imports {
            found.insert((part.name.clone(), specifier.clone()), name.clone());
        }
    }
    found
}

/// Which module an import means was settled when the agent was built.
struct Names;

impl Resolver for Names {
    fn resolve<'js>(
        &mut self,
        _: &Ctx<'js>,
        base: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<String> {
        let key = (base.to_owned(), name.to_owned());
        let found = PARTS.with_borrow(|parts| parts.imports.get(&key).cloned());
        found.ok_or_else(|| rquickjs::Error::new_resolving(base, name))
    }
}

struct Sources;

impl Loader for Sources {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<Module<'js, Declared>> {
        let bytecode = PARTS.with_borrow(|parts| parts.compiled.get(name).cloned());
        match bytecode {
            #[allow(
                unsafe_code,
                reason = "bytecode cannot be checked, only trusted as far as the sandbox reaches"
            )]
            // SAFETY: the builder wrote it with this very engine. Where somebody else did, they wrote the component too,
            // and broken bytecode breaks nothing but this instance.
            Some(bytecode) if is_running() => unsafe { Module::load(ctx.clone(), &bytecode) },
            _ => declare(ctx, name),
        }
    }
}

/// Runs the agent until it has answered.
pub fn run(bundle: Bundle, intent: &Intent, context: &Context) -> Result<Option<Card>, ToolError> {
    RUNNING.set(true);
    let Some(entry) = bundle.modules.first().map(|part| part.name.clone()) else {
        return Err(error("INTERNAL_ERROR", "The program has no module."));
    };
    PARTS.set(Parts {
        sources: HashMap::new(),
        imports: imports(&bundle),
        compiled: bundle.modules.into_iter().map(|part| (part.name, part.code)).collect(),
    });
    with(|ctx, prelude| {
        let answer = (|| -> rquickjs::Result<Option<Object>> {
            let handle: Function = prelude.get("handle")?;
            let load = {
                let ctx = ctx.clone();
                Function::new(ctx.clone(), move || load(&ctx, &entry))?
            };
            let given = Object::new(ctx.clone())?;
            given.set("action", intent.action.as_str())?;
            given.set("parameters", intent.parameters.as_str())?;
            given.set("text", context.text.as_deref())?;
            given.set("userId", context.user_id.as_str())?;
            given.set("timestamp", context.timestamp)?;
            given.set("now", context.now.as_str())?;
            given.set("extras", context.extras.as_deref())?;
            let promise: Promise = handle.call((load, given, bundle.calls))?;
            let turn: Function = prelude.get("turn")?;
            loop {
                while ctx.execute_pending_job() {}
                if promise.state() != PromiseState::Pending {
                    break;
                }
                // Nothing can happen any more but a timer; where there is none, the agent waits for nothing.
                if !turn.call::<_, bool>(())? {
                    break;
                }
            }
            prelude.get::<_, Function>("end")?.call::<_, ()>(())?;
            promise.result().unwrap_or(Ok(None))
        })();
        let answer = answer.catch(&ctx).map_err(|caught| error("INTERNAL_ERROR", &caught.to_string()))?;
        outcome(answer, &ctx)
    })
}

/// Loads and evaluates the agent's first module, and what it imports: gives its namespace and when it is complete.
fn load<'js>(ctx: &Ctx<'js>, name: &str) -> rquickjs::Result<Object<'js>> {
    let module = Sources.load(ctx, name, None)?;
    let (module, evaluated) = module.eval()?;
    let loaded = Object::new(ctx.clone())?;
    loaded.set("namespace", module.namespace()?)?;
    loaded.set("evaluated", evaluated)?;
    Ok(loaded)
}

/// Reads what `handle` gave: `{kind, title, content}`, `{code, message, details}`, or nothing.
fn outcome(answer: Option<Object>, ctx: &Ctx) -> Result<Option<Card>, ToolError> {
    let Some(answer) = answer else {
        return Err(error("INTERNAL_ERROR", "handleIntent waits for a promise that nothing will settle."));
    };
    let read = || -> rquickjs::Result<Result<Option<Card>, ToolError>> {
        if let Some(code) = answer.get::<_, Option<String>>("code")? {
            let (message, details) = (answer.get("message")?, answer.get("details")?);
            return Ok(Err(ToolError { code, message, details }));
        }
        let Some(kind) = answer.get::<_, Option<String>>("kind")? else { return Ok(Ok(None)) };
        Ok(Ok(Some(Card { kind, title: answer.get("title")?, content: answer.get("content")? })))
    };
    read().catch(ctx).unwrap_or_else(|caught| Err(error("INTERNAL_ERROR", &caught.to_string())))
}

fn with<T>(work: impl for<'js> FnOnce(Ctx<'js>, Object<'js>) -> T) -> T {
    ENGINE.with_borrow(|engine| {
        let engine = engine.as_ref().expect("the image was made with the engine started");
        engine.context.with(|ctx| {
            let prelude = engine.prelude.clone().restore(&ctx).expect("it is this runtime's");
            work(ctx, prelude)
        })
    })
}

/// For `natives`: null where there is nothing.
pub fn optional<'js>(value: &Value<'js>) -> Option<Value<'js>> {
    (!value.is_null() && !value.is_undefined()).then(|| value.clone())
}

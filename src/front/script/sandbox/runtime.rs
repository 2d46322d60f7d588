//! The JavaScript engine with one realm in it: set-up, limits, and running jobs until there are none.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rquickjs::context::EvalOptions;
use rquickjs::function::Args;
use rquickjs::{Context, Ctx, Function, Module, Object, Persistent, Runtime};

use super::config::ScriptConfig;
use super::deliver::Delivery;
use super::errors::{self, BODY_PREFIX, BODY_SUFFIX, Frames, PRELUDE_NAME};
use super::host::{self, Shared};
use crate::core::run::{RunError, RunErrorCode};

/// Bytes of native stack a script may use. The thread that drives it needs twice as much.
const STACK_BYTES: usize = 4 * 1024 * 1024;

/// The prelude: a function of the host object and the args that sets the realm up and returns its entry points.
const PRELUDE: &str = concat!(
    "(function (host, args) {\n'use strict';\n",
    include_str!("realm.js"),
    include_str!("prelude.js"),
    include_str!("fanout.js"),
    include_str!("url.js"),
    include_str!("start.js"),
    "})"
);

/// Why a running script was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trip {
    /// The stretch took too long.
    TooLong,
    /// The run was cancelled.
    Aborted,
}

/// Watches one synchronous stretch. Once tripped it stays so: nothing of the script runs any more.
#[derive(Debug)]
struct Watch {
    armed: Cell<bool>,
    deadline: Cell<Option<Instant>>,
    tripped: Cell<Option<Trip>>,
    abort: Arc<AtomicBool>,
}

impl Watch {
    fn poll(&self) -> bool {
        if self.armed.get() && self.tripped.get().is_none() {
            if self.abort.load(Ordering::Relaxed) {
                self.tripped.set(Some(Trip::Aborted));
            } else if self.deadline.get().is_some_and(|deadline| Instant::now() >= deadline) {
                self.tripped.set(Some(Trip::TooLong));
            }
        }
        self.tripped.get().is_some()
    }
}

/// How a stretch ended, the script's own doings aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stretch {
    /// Nothing is left to run, or the body has ended.
    Quiet,
    /// It was cut.
    Tripped(Trip),
    /// The engine ran out of memory where no script could catch it.
    NoMemory,
}

/// One engine with one realm. The saved functions stand first: they must be dropped before the engine, whose end with a
/// live one aborts the process.
pub(super) struct Realm {
    launch: Persistent<Function<'static>>,
    deliver: Persistent<Function<'static>>,
    tick: Persistent<Function<'static>>,
    main: Option<Persistent<Function<'static>>>,
    context: Context,
    runtime: Runtime,
    watch: Rc<Watch>,
    stretch: Duration,
}

impl Realm {
    /// Sets a realm up and compiles the body. Nothing of the script runs.
    ///
    /// # Errors
    /// The body is not JavaScript, or the engine cannot be set up within its memory.
    pub(super) fn new(config: &ScriptConfig, shared: &Rc<RefCell<Shared>>, frames: &Frames) -> Result<Self, RunError> {
        if config.body.contains('\0') {
            return Err(RunError::new(RunErrorCode::ScriptError, "the script holds a NUL character"));
        }
        let runtime = Runtime::new().map_err(|error| crash(&error))?;
        runtime.set_memory_limit(usize::try_from(config.limits.memory_bytes).unwrap_or(usize::MAX));
        runtime.set_max_stack_size(STACK_BYTES);
        let watch = Rc::new(Watch {
            armed: Cell::new(false),
            deadline: Cell::new(None),
            tripped: Cell::new(None),
            abort: Arc::clone(&config.abort),
        });
        let watcher = Rc::clone(&watch);
        runtime.set_interrupt_handler(Some(Box::new(move || watcher.poll())));
        let hints = Rc::clone(shared);
        runtime.set_host_promise_rejection_tracker(Some(Box::new(move |_, _, reason, handled| {
            if !handled && errors::is_memory_exception(&reason) {
                hints.borrow_mut().memory_hint = true;
            }
        })));
        let context = Context::full(&runtime).map_err(|error| crash(&error))?;
        let (launch, deliver, tick, main) = context.with(|ctx| {
            let args = config.args.as_ref().map(ToString::to_string);
            let hooks =
                prelude(&ctx, shared, config.limits.fan_out, args).map_err(|error| prelude_crash(&ctx, &error))?;
            let save = |name: &str| -> Result<_, RunError> {
                let function: Function<'_> = hooks.get(name).map_err(|error| crash(&error))?;
                Ok(Persistent::save(&ctx, function))
            };
            let main = compile(&ctx, config).map_err(|error| match error {
                rquickjs::Error::Exception => frames.compile_error(&ctx.catch()),
                other => crash(&other),
            })?;
            Ok::<_, RunError>((save("launch")?, save("deliver")?, save("tick")?, Persistent::save(&ctx, main)))
        })?;
        let stretch = Duration::from_millis(config.limits.sync_ms);
        Ok(Self { launch, deliver, tick, main: Some(main), context, runtime, watch, stretch })
    }

    /// Whether most of the memory is used up: then a script that waits for nothing lost its way for lack of memory.
    pub(super) fn is_crowded(&self) -> bool {
        let usage = self.runtime.memory_usage();
        usage.malloc_limit > 0 && usage.malloc_size > usage.malloc_limit / 10 * 8
    }

    /// Starts the body and runs it until it is quiescent.
    pub(super) fn launch(&mut self, shared: &RefCell<Shared>) -> Stretch {
        let main = self.main.take();
        self.stretch(shared, |realm, ctx| {
            let Some(main) = main else { return Ok(()) };
            realm.launch.clone().restore(ctx)?.call((main.restore(ctx)?,))
        })
    }

    /// Delivers one outcome and runs the script until it is quiescent.
    pub(super) fn deliver(&mut self, shared: &RefCell<Shared>, number: u64, delivery: Delivery) -> Stretch {
        self.stretch(shared, |realm, ctx| {
            let mut args = Args::new(ctx.clone(), 6);
            args.push_arg(number as f64)?;
            args.push_arg(delivery.how as i32)?;
            args.push_arg(delivery.first)?;
            args.push_arg(delivery.second)?;
            match delivery.full {
                Some(full) => args.push_arg(full)?,
                None => args.push_arg(rquickjs::Undefined)?,
            }
            args.push_arg(delivery.ok)?;
            realm.deliver.clone().restore(ctx)?.call_arg(args)
        })
    }

    /// Runs `enter`, then jobs and timers of no delay until none is left or the body has ended.
    fn stretch(
        &self,
        shared: &RefCell<Shared>,
        enter: impl FnOnce(&Self, &Ctx<'_>) -> rquickjs::Result<()>,
    ) -> Stretch {
        self.watch.deadline.set(Instant::now().checked_add(self.stretch));
        self.watch.armed.set(true);
        let end = self.run(shared, enter);
        self.watch.armed.set(false);
        self.watch.tripped.get().map_or(end, Stretch::Tripped)
    }

    fn run(&self, shared: &RefCell<Shared>, enter: impl FnOnce(&Self, &Ctx<'_>) -> rquickjs::Result<()>) -> Stretch {
        let entered = self.context.with(|ctx| enter(self, &ctx).map_err(|_| errors::is_memory_exception(&ctx.catch())));
        if entered == Err(true) {
            return Stretch::NoMemory;
        }
        loop {
            while shared.borrow().settled.is_none() && !self.watch.poll() {
                match self.runtime.execute_pending_job() {
                    Ok(true) => {}
                    Ok(false) => break,
                    // What a script throws becomes a rejection. A job itself fails only when it was interrupted, which the
                    // caller sees, or when the engine had no memory left to go on.
                    Err(job) => {
                        job.0.with(|ctx| drop(ctx.catch()));
                        return Stretch::NoMemory;
                    }
                }
            }
            if shared.borrow().settled.is_some() || self.watch.poll() {
                return Stretch::Quiet;
            }
            let ticked = self.context.with(|ctx| {
                let call = |tick: Function<'_>| tick.call::<_, bool>(());
                self.tick.clone().restore(&ctx).and_then(call).map_err(|_| errors::is_memory_exception(&ctx.catch()))
            });
            match ticked {
                Ok(true) => {}
                Ok(false) | Err(false) => return Stretch::Quiet,
                Err(true) => return Stretch::NoMemory,
            }
        }
    }
}

fn prelude<'js>(
    ctx: &Ctx<'js>,
    shared: &Rc<RefCell<Shared>>,
    fan_out: u32,
    args: Option<String>,
) -> rquickjs::Result<Object<'js>> {
    let mut options = EvalOptions::default();
    options.filename = Some(PRELUDE_NAME.to_owned());
    let setup: Function<'js> = ctx.eval_with_options(PRELUDE, options)?;
    setup.call((host::object(ctx, shared, fan_out)?, args))
}

fn compile<'js>(ctx: &Ctx<'js>, config: &ScriptConfig) -> rquickjs::Result<Function<'js>> {
    let source = format!("{BODY_PREFIX}{}{BODY_SUFFIX}", config.body);
    let (module, _) = Module::declare(ctx.clone(), config.file_name.as_str(), source)?.eval()?;
    module.get("default")
}

fn crash(error: &rquickjs::Error) -> RunError {
    RunError::new(RunErrorCode::EngineCrash, format!("the JavaScript engine cannot be set up: {error}"))
}

fn prelude_crash(ctx: &Ctx<'_>, error: &rquickjs::Error) -> RunError {
    let detail = ctx.catch();
    let detail = detail.as_exception().map(ToString::to_string).unwrap_or_default();
    RunError::new(RunErrorCode::EngineCrash, format!("the prelude failed: {error} {detail}"))
}

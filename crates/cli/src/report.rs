//! `byline report`.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use byline::{
    Address, Create, Hash, OpenError, Opened, Position, Reason, Refusal, Reporter, Runtime, State,
    Subscribe,
};
use serde_json::{Map, Value};

use crate::ReportArgs;
use crate::elsewhere::{follows, tell_rejected};
use crate::handover::accepted;
use crate::input::Input;
use crate::output::{Event, Printer, note};
use crate::owners::stays_private;
use crate::session::{interrupted, start_with, token_wanted};
use crate::stored::Stored;

/// The hyperty that reports, by which it is found again in a store.
pub(crate) const HYPERTY: &str = "report";
/// How long what was called reported may take to reach the node when the command is over.
const LAST_COMMITS: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: ReportArgs) -> anyhow::Result<()> {
    let url = Address::object(&args.url)?;
    let mut input = Input::open(&args)?;
    let Some(data) = input.next(&Value::Object(Map::new())).await? else {
        bail!("there is no input: the first line is the object's initial data");
    };
    let runtime = start_with(&args.session, &url, args.store.as_deref()).await?;
    let done = tokio::select! {
        done = report(&args, &url, &runtime, data, input) => done,
        interrupted = interrupted() => interrupted.map_err(Into::into),
        why = token_wanted(&runtime, &args.session) => Err(why),
    };
    // Late or refused, the outcome is the one that is known already.
    let _ = tokio::time::timeout(LAST_COMMITS, runtime.delivered()).await;
    runtime.close().await;
    done
}

async fn report(
    args: &ReportArgs,
    url: &Address,
    runtime: &Runtime,
    data: Value,
    input: Input,
) -> anyhow::Result<()> {
    let syncher = runtime.syncher(HYPERTY)?;
    let schema = args
        .schema
        .as_deref()
        .unwrap_or_else(|| schema_of(url.scheme()));
    let mut create = if args.accept {
        accepted(runtime, &syncher, url).await?
    } else {
        Create::new(schema, data.clone()).at(url.as_str())
    };
    create = match args.store {
        Some(_) => create.store(),
        None if args.accept => create,
        // Run again on its own address, a report starts it afresh.
        None => create.discard().take(),
    };
    if args.public {
        create = create.public();
    }
    if args.take {
        create = create.take();
    }
    let opened = match syncher.open(create).await {
        Ok(opened) => opened,
        Err(OpenError::Refused(refusal)) => bail!("{url}: {refusal}"),
        Err(error) => return Err(error).with_context(|| input.place()),
    };
    let printer = Printer::new(args.session.json);
    let reporter = match opened {
        Opened::Reporter(reporter) => reporter,
        Opened::Observer { reporter, .. } if args.exit || args.store.is_none() => {
            bail!("{url}: {}", over(&reporter).await)
        }
        Opened::Observer { observer, reporter } => {
            return follows(&observer, &reporter, Reason::Held, printer).await;
        }
    };
    printer.print(&Event::Created { url: url.as_str() })?;
    if args.public
        && args.store.is_some()
        && let Some(why) = stays_private(&syncher.owner(url.as_str())?).await
    {
        note(&format!("{url}: --public: {why}"))?;
    }
    let done = tokio::select! {
        done = write(args, &reporter, runtime, data, input) => done,
        told = tell_rejected(&reporter, printer) => told,
    };
    if args.store.is_none() || !is_superseded(&reporter) {
        return done;
    }
    let observer = syncher.subscribe(Subscribe::to(url.as_str()).store())?;
    follows(&observer, &reporter, Reason::Superseded, printer).await
}

/// Makes each line the object's next state.
async fn write(
    args: &ReportArgs,
    reporter: &Reporter,
    runtime: &Runtime,
    data: Value,
    mut input: Input,
) -> anyhow::Result<()> {
    let closed = |refusal: Refusal| anyhow!("{}: {refusal}", reporter.url());
    let printer = Printer::new(args.session.json);
    let mut stored = Stored::new(reporter, printer);
    // One that goes on is not as the first line says.
    let mut first = Some(data).filter(|data| *reporter.data() != *data);
    loop {
        let state = reporter.data();
        let next = match first.take() {
            Some(first) => Some(first),
            None => next(&mut input, &state, reporter, &mut stored).await?,
        };
        let Some(next) = next else { break };
        reporter.ready().await.map_err(closed)?;
        let before = reporter.head();
        // Held on to, it would be copied by the write.
        drop(state);
        let written = reporter.replace(next);
        if written.or_else(|error| input.refused(error))? {
            let (position, hash) = numbered(reporter, before.map(|(position, _)| position))
                .await
                .map_err(closed)?;
            printer.reported(position, hash)?;
            if args.store.is_some() {
                stored.wrote(position.version);
            }
        }
    }
    tokio::select! {
        // First whether the object is still ours: what nobody may write any more is not delivered.
        biased;
        refusal = over(reporter) => Err(closed(refusal)),
        done = last(args, runtime, &mut stored) => done,
    }
}

/// The next state, while what becomes stored is told.
async fn next(
    input: &mut Input,
    state: &Value,
    reporter: &Reporter,
    stored: &mut Stored<'_>,
) -> anyhow::Result<Option<Value>> {
    let mut next = pin!(input.next(state));
    loop {
        tokio::select! {
            next = &mut next => return next,
            refusal = over(reporter) => bail!("{}: {refusal}", reporter.url()),
            told = stored.next() => told?,
        }
    }
}

/// What is left to do at the end of the input: to wait for the end, or, to `--exit`, for the node.
async fn last(args: &ReportArgs, runtime: &Runtime, stored: &mut Stored<'_>) -> anyhow::Result<()> {
    stored.all().await?;
    if args.exit {
        let refused = |refusal: Refusal| anyhow!("{}: {refusal}", args.url);
        return runtime.delivered().await.map_err(refused);
    }
    std::future::pending().await
}

/// The object's head once the commit after `before` has its number: at once, unless a claim is under
/// way.
async fn numbered(
    reporter: &Reporter,
    before: Option<Position>,
) -> Result<(Position, Hash), Refusal> {
    let mut state = reporter.state();
    loop {
        state.mark_unchanged();
        match reporter.head() {
            Some((position, hash)) if Some(position) != before => return Ok((position, hash)),
            _ => {}
        }
        if let State::Closed(refusal) = &*state.borrow() {
            return Err(refusal.clone());
        }
        // An error is the runtime's end, which the state says too.
        let _ = state.changed().await;
    }
}

/// Whether another device has taken the object.
fn is_superseded(reporter: &Reporter) -> bool {
    let state = reporter.state();
    matches!(&*state.borrow(), State::Closed(refusal) if refusal.reason == Some(Reason::Superseded))
}

/// Why the object is no longer this Reporter's, once it is not.
async fn over(reporter: &Reporter) -> Refusal {
    let mut state = reporter.state();
    let closed = state
        .wait_for(|state| matches!(state, State::Closed(_)))
        .await;
    match closed.as_deref() {
        Ok(State::Closed(refusal)) => refusal.clone(),
        _ => Refusal::conflict("the session has ended"),
    }
}

/// The schema that a scheme stands for (protocol.md, §1).
fn schema_of(scheme: &str) -> &'static str {
    match scheme {
        "comm" => "Communication",
        "connection" => "Connection",
        "ctxt" | "context" => "Context",
        _ => "HypertyResource",
    }
}

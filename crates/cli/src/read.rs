//! `byline read`.

use anyhow::anyhow;
use byline::{Address, Snapshot};

use crate::ReadArgs;
use crate::output::{Event, Printer, line};
use crate::session::{start, token_wanted};

pub(crate) async fn run(args: ReadArgs) -> anyhow::Result<()> {
    let url = Address::object(&args.url)?;
    let runtime = start(&args.session, &url).await?;
    let syncher = runtime.syncher("read")?;
    let read = tokio::select! {
        read = syncher.read(url.as_str()) => read.map_err(|error| anyhow!("{url}: {error}")),
        why = token_wanted(&runtime, &args.session) => Err(why),
    };
    runtime.close().await;
    let Snapshot {
        data,
        position,
        hash,
        ..
    } = read?;
    if args.session.json {
        let (epoch, version) = (position.epoch, position.version);
        let event = Event::Snapshot {
            url: url.as_str(),
            epoch,
            version,
            hash,
            origin: None,
            data: &data,
        };
        Printer::new(true).print(&event)?;
    } else {
        line(&serde_json::to_string_pretty(&*data)?)?;
    }
    Ok(())
}

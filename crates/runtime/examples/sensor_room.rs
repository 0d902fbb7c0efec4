//! A room with a thermometer: one program reports what it measures, others watch, raise alarms beside the
//! readings, and have it reset. Run it: `cargo run -p byline --example sensor_room`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use byline::{
    Children, Create, Execution, MemoryNode, Observer, Refusal, Reporter, Runtime, State,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

const ROOM: &str = "ctxt://localhost/boiler-room";
const TOO_HOT: f64 = 80.0;

#[derive(Serialize, Deserialize)]
struct Reading {
    temperature: f64,
}

#[derive(Serialize, Deserialize)]
struct Alarm {
    at: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in watch().await? {
        println!("{line}");
    }
    Ok(())
}

/// All that happens.
pub(crate) async fn watch() -> Result<Vec<String>, Box<dyn Error>> {
    let node = MemoryNode::start("localhost")?;
    let start = || Runtime::builder().memory(&node).start();
    let (boiler, guard) = (start()?, start()?);

    let create = Create::new("Context", Reading { temperature: 71.0 })
        .at(ROOM)
        .public()
        .children("alarms");
    let thermometer = boiler.syncher("thermometer")?.create(create)?;
    // What readers ask for is asked from here on.
    let mut executions = thermometer.executions();
    let room = guard.syncher("guard")?.subscribe(ROOM)?;
    room.state().wait_for(|state| *state == State::Live).await?;

    for temperature in [74.5, 79.0, 83.5] {
        thermometer.update(|reading| reading.temperature = temperature)?;
    }
    let hot = until_too_hot(&room).await?;
    let mut told = vec![format!("the guard reads {hot} °C")];

    // The guard cannot write the reading. An alarm beside it is the guard's own.
    let mut alarm = room.children("alarms").add(Alarm { at: hot })?;
    alarm.safe().await?;
    let alarms: Children<Alarm> = thermometer.children("alarms");
    told.push(format!("{} alarm", alarms.list().len()));

    let serve = async {
        match executions.next().await {
            Some(execution) => reset(&thermometer, execution),
            None => Err("the room is closed".into()),
        }
    };
    let (answer, served) = tokio::join!(room.execute("reset", json!({"to": 60})), serve);
    served?;
    told.push(format!("reset: {}", answer?));

    alarm.remove()?;
    alarm.safe().await?;
    told.push(format!("{} alarms", alarms.list().len()));
    Ok(told)
}

/// What the guard reads when it is too hot.
async fn until_too_hot(room: &Observer) -> Result<f64, Box<dyn Error>> {
    let mut readings = room.typed::<Reading>().copies();
    while let Some(reading) = readings.next().await {
        let Reading { temperature } = reading?;
        if temperature > TOO_HOT {
            return Ok(temperature);
        }
    }
    Err("the room is closed".into())
}

/// Does what a reader asks for, and answers.
fn reset(thermometer: &Reporter<Reading>, execution: Execution) -> Result<(), Box<dyn Error>> {
    let to = execution.params()["to"].as_f64();
    match (execution.method(), to) {
        ("reset", Some(to)) => {
            thermometer.update(|reading| reading.temperature = to)?;
            execution.answer(json!({"temperature": to}))?;
        }
        _ => execution.refuse(Refusal::unknown(
            "only `reset` to a temperature is done here",
        )),
    }
    Ok(())
}

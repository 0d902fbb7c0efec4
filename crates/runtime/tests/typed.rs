//! Objects as types of the application.

use std::collections::BTreeMap;

use byline::{CallError, Create, JsonError, Misfit, Path, Reporter, WriteError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::common::{OBJECT, bounded, node, observe, runtime};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Room {
    temperature: f64,
    window: Option<Window>,
    seats: Vec<Seat>,
    #[serde(default)]
    notes: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Window {
    Open,
    Shut,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Seat {
    by: String,
}

fn room() -> Room {
    let seat = |by: &str| Seat { by: by.to_owned() };
    Room {
        temperature: 21.0,
        window: None,
        seats: vec![seat("Ann"), seat("Bob")],
        notes: BTreeMap::new(),
    }
}

async fn report<T: byline::Data>(runtime: &byline::Runtime, data: T) -> Reporter<T> {
    let create = Create::new("Context", data).at(OBJECT).public();
    let reporter = runtime.syncher("report").unwrap().create(create).unwrap();
    reporter.claimed().await.unwrap();
    reporter
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_struct_is_reported_and_followed_as_itself() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, room()).await;
        let observer = observe(&bob).await.typed::<Room>();
        let (mut copies, mut changes) = (observer.copies(), observer.changes());
        assert_eq!(copies.next().await.unwrap().unwrap(), room());
        changes.next().await.unwrap();

        let changed = reporter.clone().update(|room| {
            room.temperature = 21.5;
            room.window = Some(Window::Open);
        });
        assert!(changed.unwrap());
        let copy = copies.next().await.unwrap().unwrap();
        assert_eq!(
            (copy.temperature, &copy.window),
            (21.5, &Some(Window::Open))
        );
        assert_eq!(copy, reporter.copy().unwrap());
        let step = changes.next().await.unwrap();
        let paths: Vec<String> = step
            .edits
            .iter()
            .map(|edit| edit.change.path().to_string())
            .collect();
        assert_eq!(
            (step.position.version, paths.join(" ")),
            (1, "temperature window".to_owned())
        );

        assert!(reporter.replace(room()).unwrap());
        assert_eq!(copies.next().await.unwrap().unwrap(), room());
        assert_eq!(observer.clone().copy().unwrap(), Some(room()));
        assert!(
            !reporter.replace(room()).unwrap(),
            "the same again is no commit"
        );
        assert!(!reporter.update(|room| room.temperature += 0.0).unwrap());
    })
    .await;
}

#[tokio::test]
async fn an_update_leaves_alone_what_the_type_does_not_know_of() {
    bounded(async {
        let node = node();
        let ann = runtime(&node);
        let reporter = report(&ann, room()).await;
        let before = json!({
            "temperature": 21, "seats": [{"by": "Ann", "since": 9}],
            "notes": {"a": "1", "b": "2"}, "colour": {"wall": "red"},
        });
        let untyped = |data: &Value| {
            vec![byline::Change::Replace {
                data: data.as_object().unwrap().clone(),
            }]
        };
        reporter.write(untyped(&before)).unwrap();
        let head = reporter.head();
        assert!(
            !reporter.update(|_| {}).unwrap(),
            "no window is not a window that is null"
        );
        assert_eq!(reporter.head(), head);

        let update = reporter.update(|room| {
            room.temperature = 22.0;
            room.notes.remove("a");
            room.notes.insert("c".to_owned(), "3".to_owned());
        });
        assert!(update.unwrap());
        let mut after = before;
        after["temperature"] = json!(22);
        after["notes"] = json!({"b": "2", "c": "3"});
        assert_eq!(*reporter.data(), after);

        reporter
            .update(|room| room.window = Some(Window::Shut))
            .unwrap();
        reporter
            .update(|room| room.seats[0].by = "Eve".to_owned())
            .unwrap();
        after["window"] = json!("shut");
        after["seats"] = json!([{"by": "Eve"}]);
        assert_eq!(
            *reporter.data(),
            after,
            "a list that was changed is the type's, whole"
        );
    })
    .await;
}

#[tokio::test]
async fn what_no_reader_of_the_type_could_read_is_refused_when_it_is_written() {
    bounded(async {
        let node = node();
        let ann = runtime(&node);
        let reporter = report(&ann, room()).await;
        let head = reporter.head();
        let misfit = |written: Result<bool, WriteError>| match written {
            Err(WriteError::Misfit(misfit)) => (misfit.path.to_string(), misfit.reason),
            other => panic!("{other:?}"),
        };
        let null = (
            "temperature".to_owned(),
            "invalid type: null, expected f64".to_owned(),
        );
        assert_eq!(
            misfit(reporter.update(|room| room.temperature = f64::NAN)),
            null
        );
        assert_eq!(
            misfit(reporter.replace(Room {
                temperature: f64::INFINITY,
                ..room()
            })),
            null
        );
        assert_eq!(reporter.head(), head);

        reporter.set(&path("temperature"), "warm").unwrap();
        let refused = reporter
            .update(|_| panic!("there is no room to change"))
            .unwrap_err();
        let told = "the data at `temperature` does not fit `scenarios::typed::Room`: \
                    invalid type: string \"warm\", expected f64";
        assert_eq!(refused.to_string(), told);
        assert_eq!(reporter.copy().unwrap_err().to_string(), told);
        reporter
            .replace(room())
            .expect("the whole is written without reading what was there");

        let syncher = ann.syncher("report").unwrap();
        let number = BTreeMap::from([("n".to_owned(), u64::MAX)]);
        let large = syncher.create(Create::new("Context", number));
        assert!(
            matches!(
                large,
                Err(CallError::Write(WriteError::Json(JsonError { .. })))
            ),
            "{large:?}"
        );
        let list = syncher.create(Create::new("Context", vec![1, 2]));
        assert!(
            matches!(list, Err(CallError::Write(WriteError::NotAnObject))),
            "{list:?}"
        );
        let pairs = BTreeMap::from([((1, 2), 3)]);
        let pairs = BTreeMap::from([("a".to_owned(), pairs)]);
        let keys = syncher.create(Create::new("Context", pairs));
        let Err(CallError::Write(WriteError::Misfit(Misfit { path, reason, .. }))) = keys else {
            panic!("{keys:?}")
        };
        assert_eq!(
            (path.to_string().as_str(), reason.as_str()),
            ("a", "key must be a string")
        );
    })
    .await;
}

#[tokio::test]
async fn a_copy_that_is_another_type_is_an_error_of_that_reader_alone() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(
            &ann,
            json!({"temperature": 21, "seats": [{"by": "Ann"}, {"for": "Bob"}]}),
        )
        .await;
        let untyped = observe(&bob).await;
        let observer = untyped.typed::<Room>();
        let mut copies = observer.copies();
        let misfit = copies.next().await.unwrap().unwrap_err();
        assert_eq!(
            (misfit.path, misfit.reason.as_str()),
            (path("seats.1"), "missing field `by`")
        );
        assert_eq!(
            untyped.copies().next().await.unwrap().unwrap(),
            *reporter.data()
        );
        assert_eq!(
            observer.data().unwrap(),
            reporter.data(),
            "it is there all the same"
        );

        reporter.set(&path("notes"), "x".repeat(1 << 19)).unwrap();
        let misfit = copies.next().await.unwrap().unwrap_err();
        assert_eq!(misfit.path, path("notes"));
        assert!(
            misfit.reason.chars().count() <= 201,
            "it repeats all that was found"
        );
        reporter.remove(&path("notes")).unwrap();
        reporter
            .set(&path("seats.1"), json!({"by": "Bob"}))
            .unwrap();
        let mut fits = copies.next().await.unwrap();
        while fits.is_err() {
            fits = copies.next().await.unwrap();
        }
        assert_eq!(fits.unwrap(), room());
        assert_eq!(observer.position(), untyped.position());
    })
    .await;
}

#[tokio::test]
async fn who_reads_slowly_gets_the_newest_and_then_the_end() {
    bounded(async {
        let node = node();
        let (ann, bob) = (runtime(&node), runtime(&node));
        let reporter = report(&ann, room()).await;
        let observer = observe(&bob).await.typed::<Room>();
        let mut copies = observer.copies();
        let mut changes = observer.changes();
        for temperature in 1..=100 {
            reporter
                .update(|room| room.temperature = f64::from(temperature))
                .unwrap();
        }
        while changes.next().await.unwrap().position.version < 100 {}
        assert_eq!(copies.next().await.unwrap().unwrap().temperature, 100.0);
        reporter.update(|room| room.temperature = 0.5).unwrap();
        changes.next().await.unwrap();
        bob.close().await;
        assert_eq!(copies.next().await.unwrap().unwrap().temperature, 0.5);
        assert_eq!(copies.next().await, None);
    })
    .await;
}

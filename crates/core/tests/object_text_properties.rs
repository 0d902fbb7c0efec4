//! Properties of what comes from outside: any text is read or refused, and never believed to be
//! more than it is.

use std::str::FromStr;

use byline_core::object::{
    Change, ChangeError, ChangeFields, ChangeShape, DataObject, Hash, Path, nesting, normalise,
    parse,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use crate::documents::cases;

fn shape(text: &str) -> Result<ChangeShape, ChangeError> {
    ChangeFields::parse(text)?.shape()
}

/// Doubles of every size, and more of those where a rule begins or ends.
fn double() -> impl Strategy<Value = f64> {
    let sign = select(vec![1.0, -1.0]);
    let size = prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (9_007_199_254_740_980..9_007_199_254_741_000_u64).prop_map(|x| x as f64),
        (15..24).prop_map(|digits| 10_f64.powi(digits)),
        (0..100_000_u32).prop_map(|x| f64::from(x) / 64.0),
    ];
    (sign, size).prop_map(|(sign, size)| sign * size)
}

proptest! {
    #![proptest_config(cases(1024))]

    #[test]
    fn what_is_read_as_a_change_has_passed_the_check(
        attribute in prop::option::of(select(vec![
            "\"\"", "\"a\"", "\"a.0\"", "\"/a/0\"", "\"a..b\"", "\"/~\"", "1", "null", "\"\\ud800\"",
        ])),
        kind in prop::option::of(select(vec!["\"array\"", "\"string\"", "\"x\"", "null", "[]"])),
        operation in prop::option::of(select(vec!["\"add\"", "\"remove\"", "\"x\"", "null"])),
        value in prop::option::of(select(vec![
            "null", "true", "2", "1.5", "-1", "-0", "\"t\"", "[ 1]", "{}", "1e999", "\"\\ud800\"",
        ])),
    ) {
        let names = ["attribute", "attributeType", "operation", "value"];
        let fields = names.into_iter().zip([attribute, kind, operation, value]);
        let fields = fields.filter_map(|(name, text)| Some(format!("\"{name}\":{}", text?)));
        let text = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
        prop_assert_eq!(ChangeShape::check(&text), shape(&text).map(|_| ()));
        let shape_found = shape(&text);
        match (serde_json::from_str::<Change>(&text), shape_found) {
            (Ok(change), Ok(found)) => {
                let again = serde_json::to_string(&change).unwrap();
                prop_assert_eq!(shape(&again), Ok(found));
            }
            (Err(error), Err(refused)) => prop_assert_eq!(error.to_string(), refused.to_string()),
            (Err(error), Ok(_)) => prop_assert!(error.to_string().starts_with("`value` of")),
            (Ok(change), Err(error)) => prop_assert!(false, "{change:?} but {error}"),
        }
    }

    #[test]
    fn a_path_of_any_text_is_read_or_refused(text in "[a0./~]{0,8}|.{0,20}") {
        let path = Path::parse(&text);
        prop_assert_eq!(Path::check(&text), path.clone().map(|_| ()));
        if let Ok(path) = path {
            prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(
        text in prop_oneof![
            any::<String>(),
            r#"[\[\]{}",:0-9.eE+a\\ud\-]{0,24}"#,
            r#"([\[{]|"(a|\\u(d83d|de00|00))?":?|[0-9.\-]+|e9|true|null|,|[\]}]){0,12}"#,
        ],
    ) {
        _ = ChangeShape::check(&text);
        _ = DataObject::parse(&text);
        _ = Hash::from_str(&text);
        _ = nesting(text.as_bytes());
        match parse(&text) {
            Ok(value) => {
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
                prop_assert_eq!(normalise(value.clone()).unwrap(), value.clone());
                prop_assert_eq!(parse(&value.to_string()).unwrap(), value);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn doubles_are_read_exactly(x in double()) {
        prop_assume!(x.is_finite());
        match (parse(&format!("{x:e}")), parse(&format!("{x}"))) {
            (Ok(short), Ok(long)) => {
                prop_assert_eq!(short.as_f64(), Some(x));
                prop_assert_eq!(short, long);
            }
            (short, long) => {
                prop_assert_eq!(short, long);
                prop_assert!(x.fract() == 0.0 && x.abs() < 1e21 && x.abs() >= 9_007_199_254_740_992.0);
            }
        }
    }
}

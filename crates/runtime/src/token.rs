//! Where the tokens come from that show who a runtime is.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use byline_core::identity::Token;

pub(crate) type Asked = Pin<Box<dyn Future<Output = Result<Token, String>> + Send>>;

/// What an application has said to do when a token is needed.
#[derive(Clone)]
pub(crate) struct Source(Arc<dyn Fn() -> Asked + Send + Sync>);

impl Source {
    pub(crate) fn new<A, E>(source: impl Fn() -> A + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Result<String, E>> + Send + 'static,
        E: fmt::Display,
    {
        Self(Arc::new(move || {
            let asked = source();
            Box::pin(async move {
                let token = asked.await;
                token.map(Token::from).map_err(|error| error.to_string())
            })
        }))
    }

    pub(crate) fn ask(&self) -> Asked {
        (self.0)()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

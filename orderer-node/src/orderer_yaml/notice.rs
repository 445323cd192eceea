//! What an operator should know about his configuration that does not keep the node from starting.

/// One thing to say, in the log, once per start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How much it matters.
    pub weight: Weight,
    /// The sentence.
    pub text: String,
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Probably a mistake.
    Warning,
    /// Good to know.
    Information,
}

impl Notice {
    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self { weight: Weight::Warning, text: text.into() }
    }

    pub(super) fn information(text: impl Into<String>) -> Self {
        Self { weight: Weight::Information, text: text.into() }
    }

    /// Says it in the log.
    pub fn log(&self) {
        match self.weight {
            Weight::Warning => tracing::warn!(target: TARGET, "{}", self.text),
            Weight::Information => tracing::info!(target: TARGET, "{}", self.text),
        }
    }
}

/// The logger that Fabric too uses for its configuration; see [`crate::logging::names`].
const TARGET: &str = "orderer_node::orderer_yaml";

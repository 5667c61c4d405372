//! The reviews that the webhook configurations of deploy/ request.

use cel::parser::{Expression, Parser};
use libtest_mimic::Failed;
use serde_json::Value;

use super::objects::{of_file, one};
use crate::match_conditions::evaluate;

/// A registered webhook.
pub(crate) struct RegisteredWebhook {
    pub(crate) mutating: bool,
    pub(crate) config: Value,
    conditions: Vec<Expression>,
}

/// Returns all registered webhooks.
pub(crate) fn hooks() -> Result<Vec<RegisteredWebhook>, Failed> {
    let mut hooks = Vec::new();
    for (file, kind) in [
        ("mutating-webhooks.yaml", "MutatingWebhookConfiguration"),
        ("validating-webhooks.yaml", "ValidatingWebhookConfiguration"),
    ] {
        let objects = of_file(&format!("base/{file}"))?;
        for config in list(&one(&objects, kind)?["webhooks"]) {
            let conditions = list(&config["matchConditions"]).iter();
            hooks.push(RegisteredWebhook {
                mutating: file.starts_with("mutating"),
                conditions: conditions.map(parsed).collect::<Result<_, _>>()?,
                config: config.clone(),
            });
        }
    }
    Ok(hooks)
}

fn parsed(condition: &Value) -> Result<Expression, Failed> {
    let text = condition["expression"].as_str().unwrap_or_default();
    let parser = Parser::new().enable_optional_syntax(true);
    let parsed = parser.parse(text);
    parsed.map_err(|error| format!("{text}: {error}").into())
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

impl RegisteredWebhook {
    /// Returns `validate pods.nadmit.io`.
    pub(crate) fn name(&self) -> String {
        let way = if self.mutating { "mutate" } else { "validate" };
        format!("{way} {}", self.config["name"].as_str().unwrap_or_default())
    }

    /// Returns true if the API server calls the webhook for a request in a namespace with these
    /// labels.
    pub(crate) fn is_asked(&self, request: &Value, labels: &Value) -> Result<bool, Failed> {
        Ok(self.covers(request) && self.selects(request, labels) && self.wants(request)?)
    }

    /// Checks the webhook's rules.
    fn covers(&self, request: &Value) -> bool {
        let resource = &request["resource"];
        let name = match request["subResource"].as_str() {
            None | Some("") => resource["resource"].clone(),
            Some(sub) => format!(
                "{}/{sub}",
                resource["resource"].as_str().unwrap_or_default()
            )
            .into(),
        };
        let namespaced = !request["namespace"].as_str().unwrap_or_default().is_empty();
        let scope = if namespaced { "Namespaced" } else { "Cluster" };
        list(&self.config["rules"]).iter().any(|rule| {
            let says = |key: &str, value: &Value| {
                list(&rule[key])
                    .iter()
                    .any(|one| one == value || one == "*")
            };
            says("apiGroups", &resource["group"])
                && says("apiVersions", &resource["version"])
                && says("resources", &name)
                && says("operations", &request["operation"])
                && [scope, "*"].contains(&rule["scope"].as_str().unwrap_or("*"))
        })
    }

    /// Checks the webhook's namespace selector; cluster-scoped objects always match.
    fn selects(&self, request: &Value, labels: &Value) -> bool {
        if request["namespace"].as_str().unwrap_or_default().is_empty() {
            return true;
        }
        let expressions = list(&self.config["namespaceSelector"]["matchExpressions"]);
        expressions.iter().all(|expression| {
            let label = &labels[expression["key"].as_str().unwrap_or_default()];
            let within = list(&expression["values"]).contains(label);
            match expression["operator"].as_str() {
                Some("In") => within,
                Some("NotIn") => !within,
                _ => false,
            }
        })
    }

    /// Checks the webhook's match conditions.
    pub(crate) fn wants(&self, request: &Value) -> Result<bool, Failed> {
        for condition in &self.conditions {
            if !evaluate(condition, request)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

//! Definitions of AddressAllocations with parts left out, to see what each part costs.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::registration::documents;

const NADMIT_USER: &str = "system:serviceaccount:nadmit:nadmit";
/// The user of every client here, nadmit included.
const USER: &str = "admin";

/// Returns the policy that lets nadmit alone write records, for these API groups.
pub(crate) fn policy(groups: &[&str]) -> anyhow::Result<Vec<Value>> {
    let mut objects = documents("protection.yaml")?;
    for object in &mut objects {
        if object["kind"] != "ValidatingAdmissionPolicy" {
            continue;
        }
        let rule = object.pointer_mut("/spec/matchConstraints/resourceRules/0");
        rule.context("no rule")?["apiGroups"] = json!(groups);
        let expression = object.pointer_mut("/spec/validations/0/expression");
        let expression = expression.context("no expression")?;
        let text = expression.as_str().unwrap_or_default();
        *expression = text.replace(NADMIT_USER, USER).into();
    }
    Ok(objects)
}

/// Returns the definition of AddressAllocations, for another API group and with parts left out.
pub(crate) fn definition(group: &str, parts: SchemaParts) -> anyhow::Result<Value> {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crds");
    let text = fs::read_to_string(crds.join("addressallocations.nadmit.io.yaml"))?;
    let mut object: Value = serde_saphyr::from_str(&text)?;
    object["metadata"]["name"] = format!("addressallocations.{group}").into();
    object["spec"]["group"] = group.into();
    object["spec"]["names"]["shortNames"] = json!([]);
    object["spec"]["names"]["categories"] = json!([]);
    let version = &mut object["spec"]["versions"][0];
    match parts {
        SchemaParts::All => {}
        SchemaParts::WithoutRules => remove_rules(&mut version["schema"]),
        SchemaParts::None => {
            version["schema"] = json!({"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }});
            version["selectableFields"] = json!([]);
            version["additionalPrinterColumns"] = json!([]);
        }
    }
    Ok(object)
}

/// The parts of a schema that a definition keeps.
#[derive(Clone, Copy)]
pub(crate) enum SchemaParts {
    All,
    WithoutRules,
    None,
}

fn remove_rules(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.remove("x-kubernetes-validations");
            members.values_mut().for_each(remove_rules);
        }
        Value::Array(all) => all.iter_mut().for_each(remove_rules),
        _ => {}
    }
}

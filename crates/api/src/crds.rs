//! The CustomResourceDefinitions, as YAML.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;

use super::{AddressAllocation, AddressPool, AddressReservation, AddressSlice};

/// Returns all definitions.
pub fn crds() -> [CustomResourceDefinition; 4] {
    [
        AddressPool::crd(),
        AddressReservation::crd(),
        AddressAllocation::crd(),
        AddressSlice::crd(),
    ]
    .map(normalized)
}

/// Returns a definition without nullable fields, with the kind's description at the root. `null`
/// then means absent, as it does to the webhook: the API server drops it before CEL's `has` is
/// evaluated.
fn normalized(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let versions = crd.spec.versions.iter_mut();
    let schemas =
        versions.filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    for schema in schemas {
        remove_nullable(schema);
        let spec = schema
            .properties
            .as_ref()
            .and_then(|members| members.get("spec"));
        schema.description = spec.and_then(|spec| spec.description.clone());
    }
    crd
}

fn remove_nullable(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    let members = schema
        .properties
        .iter_mut()
        .flat_map(|members| members.values_mut());
    members.for_each(remove_nullable);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => remove_nullable(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(remove_nullable),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        remove_nullable(values);
    }
}

/// Returns a definition as a YAML document that ends with a newline.
///
/// # Errors
/// If it cannot be serialized, which is a bug in the types.
pub fn yaml(crd: &CustomResourceDefinition) -> anyhow::Result<String> {
    // By way of JSON, so that the keys of every object are sorted.
    let value = serde_json::to_value(crd)?;
    let mut text = serde_saphyr::to_string(&value)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

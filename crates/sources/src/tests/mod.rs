//! Tests of sources: files that appear, disappear and become invalid.

mod folder;
mod scan;

fn nad(name: &str) -> String {
    format!(
        "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
         metadata: {{name: {name}, namespace: db}}\n"
    )
}

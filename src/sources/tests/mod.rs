//! How sources behave when files come, go and break.

mod folder;
mod scan;

fn nad(name: &str) -> String {
    format!(
        "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n\
         metadata: {{name: {name}, namespace: db}}\n"
    )
}

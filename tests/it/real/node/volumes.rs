//! A container's volumes: configMap, secret, emptyDir and projected, written into its root as the
//! kubelet does, so that changes to a folder become visible atomically.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{
        ConfigMap, Container, KeyToPath, Pod, Secret, ServiceAccount, Volume, VolumeProjection,
    },
};
use kube::{Api, Client, ResourceExt as _, api::PostParams};

use super::env::field;

/// Files by their names in the volume.
type VolumeFiles = BTreeMap<String, Vec<u8>>;

/// Writes the volumes that a container mounts into its root, or updates them.
///
/// # Errors If something is still missing, or not supported here.
pub(super) async fn lay(
    client: &Client,
    pod: &Pod,
    container: &Container,
    root: &Path,
) -> Result<(), String> {
    let spec = pod.spec.as_ref().ok_or("a pod without a spec")?;
    for mount in container.volume_mounts.iter().flatten() {
        if mount.sub_path.is_some() {
            return Err(format!("{}: subPath is not known here", mount.name));
        }
        let mut volumes = spec.volumes.iter().flatten();
        let volume = volumes.find(|volume| volume.name == mount.name);
        let volume = volume.ok_or_else(|| format!("no volume {}", mount.name))?;
        let folder = root.join(mount.mount_path.trim_start_matches('/'));
        make_open(&folder).map_err(|error| format!("{}: {error}", mount.name))?;
        if volume.empty_dir.is_some() {
            continue;
        }
        let files = files(client, pod, volume, &folder).await;
        let files = files.map_err(|why| format!("volume {}: {why}", mount.name))?;
        swap(&folder, &files).map_err(|error| format!("volume {}: {error}", mount.name))?;
    }
    Ok(())
}

/// Creates a world-writable folder: the pod runs as a user of its own.
fn make_open(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?;
    }
    Ok(())
}

async fn files(
    client: &Client,
    pod: &Pod,
    volume: &Volume,
    folder: &Path,
) -> Result<VolumeFiles, String> {
    if let Some(source) = &volume.config_map {
        let optional = source.optional == Some(true);
        let all = config_map(client, pod, &source.name, optional).await?;
        return chosen(all, source.items.as_deref());
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        let all = secret(client, pod, name, source.optional == Some(true)).await?;
        return chosen(all, source.items.as_deref());
    }
    let Some(projected) = &volume.projected else {
        return Err("its kind is not known here".to_owned());
    };
    let mut all = VolumeFiles::new();
    for source in projected.sources.iter().flatten() {
        all.extend(projection(client, pod, source, folder).await?);
    }
    Ok(all)
}

async fn projection(
    client: &Client,
    pod: &Pod,
    source: &VolumeProjection,
    folder: &Path,
) -> Result<VolumeFiles, String> {
    if let Some(source) = &source.config_map {
        let optional = source.optional == Some(true);
        let all = config_map(client, pod, &source.name, optional).await?;
        return chosen(all, source.items.as_deref());
    }
    if let Some(source) = &source.secret {
        let all = secret(client, pod, &source.name, source.optional == Some(true)).await?;
        return chosen(all, source.items.as_deref());
    }
    if let Some(source) = &source.downward_api {
        let items = source.items.iter().flatten();
        let files = items.map(|item| {
            let path = item.field_ref.as_ref().map(|found| &*found.field_path);
            let text = field(pod, path.ok_or("a resource's field is not known here")?)?;
            Ok((item.path.clone(), text.into_bytes()))
        });
        return files.collect();
    }
    let Some(source) = &source.service_account_token else {
        return Err("its projection is not known here".to_owned());
    };
    // No test outlives a token.
    if let Ok(there) = fs::read(folder.join(&source.path)) {
        return Ok(VolumeFiles::from([(source.path.clone(), there)]));
    }
    let spec = TokenRequestSpec {
        audiences: source.audience.clone().into_iter().collect(),
        expiration_seconds: source.expiration_seconds,
        bound_object_ref: Some(BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod.name_any()),
            uid: pod.uid(),
        }),
    };
    let request = TokenRequest {
        spec,
        ..TokenRequest::default()
    };
    let account = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.service_account_name.clone());
    let api: Api<ServiceAccount> = of_pod(client, pod);
    let name = account.unwrap_or_else(|| "default".to_owned());
    let made = api
        .create_token_request(&name, &PostParams::default(), &request)
        .await;
    let made = made.map_err(|error| format!("a token of {name}: {error}"))?;
    let token = made.status.ok_or("no token")?.token;
    Ok(VolumeFiles::from([(
        source.path.clone(),
        token.into_bytes(),
    )]))
}

fn of_pod<K>(client: &Client, pod: &Pod) -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default())
}

async fn config_map(
    client: &Client,
    pod: &Pod,
    name: &str,
    optional: bool,
) -> Result<VolumeFiles, String> {
    let api: Api<ConfigMap> = of_pod(client, pod);
    let found = api.get_opt(name).await.map_err(|error| error.to_string())?;
    let Some(found) = found else {
        return missing(format!("configmap {name:?} not found"), optional);
    };
    let texts = found.data.unwrap_or_default().into_iter();
    let texts = texts.map(|(name, text)| (name, text.into_bytes()));
    let bytes = found.binary_data.unwrap_or_default().into_iter();
    Ok(texts
        .chain(bytes.map(|(name, bytes)| (name, bytes.0)))
        .collect())
}

async fn secret(
    client: &Client,
    pod: &Pod,
    name: &str,
    optional: bool,
) -> Result<VolumeFiles, String> {
    let api: Api<Secret> = of_pod(client, pod);
    let found = api.get_opt(name).await.map_err(|error| error.to_string())?;
    let Some(found) = found else {
        return missing(format!("secret {name:?} not found"), optional);
    };
    let data = found.data.unwrap_or_default().into_iter();
    Ok(data.map(|(name, bytes)| (name, bytes.0)).collect())
}

fn missing(why: String, optional: bool) -> Result<VolumeFiles, String> {
    match optional {
        true => Ok(VolumeFiles::new()),
        false => Err(why),
    }
}

/// Returns the selected items of a source, under their configured names.
fn chosen(all: VolumeFiles, items: Option<&[KeyToPath]>) -> Result<VolumeFiles, String> {
    let Some(items) = items else {
        return Ok(all);
    };
    let each = items.iter().map(|item| {
        let bytes = all.get(&item.key);
        let bytes = bytes.ok_or_else(|| format!("references non-existent key {}", item.key))?;
        Ok((item.path.clone(), bytes.clone()))
    });
    each.collect()
}

/// Replaces the existing files atomically.
fn swap(folder: &Path, files: &VolumeFiles) -> io::Result<()> {
    let data = folder.join("..data");
    let before = fs::read_link(&data).ok();
    let same = |(name, bytes): (&String, &Vec<u8>)| {
        fs::read(data.join(name)).is_ok_and(|there| there == *bytes)
    };
    let tops: BTreeSet<&str> = files
        .keys()
        .filter_map(|name| name.split('/').next())
        .collect();
    let links: Vec<PathBuf> = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !name_of(path).starts_with(".."))
        .collect();
    if before.is_some() && links.len() == tops.len() && files.iter().all(same) {
        return Ok(());
    }
    let number = before.as_deref().map_or(0, |before| {
        let number = name_of(before).trim_start_matches('.').parse::<u32>();
        number.unwrap_or_default() + 1
    });
    let fresh = folder.join(format!("..{number}"));
    fs::create_dir(&fresh)?;
    for (name, bytes) in files {
        let file = fresh.join(name);
        fs::create_dir_all(file.parent().unwrap_or(&fresh))?;
        fs::write(file, bytes)?;
    }
    let next = folder.join("..data_tmp");
    symlink(format!("..{number}"), &next)?;
    fs::rename(&next, &data)?;
    for top in &tops {
        let link = folder.join(top);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new("..data").join(top), link)?;
        }
    }
    for stale in links.iter().filter(|path| !tops.contains(name_of(path))) {
        fs::remove_file(stale)?;
    }
    before.map_or(Ok(()), |before| fs::remove_dir_all(folder.join(before)))
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

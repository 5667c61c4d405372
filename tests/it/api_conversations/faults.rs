//! Faults: the error that a caller gets, and the effect of its request.

use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::{
    Api, Config, Error,
    api::{ListParams, PatchParams, PostParams},
};
use libtest_mimic::{Failed, Trial};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt as _;

use super::behaviour::{TestResult, config_map, error_of, maps, merge, paused, same};
use crate::api_server::{ApiServer, FaultAction, FaultEffect, FaultRule, InjectedFailure};

pub(super) fn tests() -> Vec<Trial> {
    let mut tests = tests!["api_server"; with paused;
        a_fault_has_its_status_and_message,
        a_fault_applies_to_the_requests_it_names,
        a_closure_decides_on_faults,
        latency_is_before_or_after_the_effect,
        a_lost_answer_does_not_undo_the_write,
        a_write_persists_after_its_failure,
        a_write_persists_without_its_sender,
    ];
    tests.push(trial!["api_server"; a_broken_connection_is_one_over_http]);
    tests
}

async fn a_fault_has_its_status_and_message() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    for (failure, code, part) in [
        (InjectedFailure::Unauthorized, 401, "Unauthorized"),
        (
            InjectedFailure::Forbidden,
            403,
            "cannot create resource \"configmaps\"",
        ),
        (
            InjectedFailure::Conflict,
            409,
            "the object has been modified",
        ),
        (
            InjectedFailure::TooManyRequests(3),
            429,
            "too many requests",
        ),
        (InjectedFailure::Internal, 500, "Internal error occurred"),
        (
            InjectedFailure::Unavailable,
            503,
            "unable to handle the request",
        ),
        (InjectedFailure::Timeout, 504, "allotted timeout"),
    ] {
        server.fault(FaultRule::of("create", "configmaps", failure.into()).times(1));
        let refused = maps.create(&PostParams::default(), &config_map("a")).await;
        let (found, message) = error_of(refused)?;
        same(&found, &code)?;
        same(&message.contains(part), &true)?;
    }
    same(&server.stored("configmaps", "default", "a"), &None)?;
    let waits = FaultRule::of(
        "get",
        "configmaps",
        InjectedFailure::TooManyRequests(3).into(),
    );
    server.fault(waits);
    let request = http::Request::get("/api/v1/namespaces/default/configmaps/a");
    let request = request.body(kube::client::Body::empty())?;
    let answer = server
        .clone()
        .oneshot(request)
        .await
        .map_err(|e| e.to_string())?;
    same(&answer.headers()["retry-after"].to_str()?, &"3")?;
    let body = answer.into_body().collect().await?.to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body)?;
    same(&body["details"]["retryAfterSeconds"], &json!(3))
}

async fn a_fault_applies_to_the_requests_it_names() -> TestResult {
    let server = ApiServer::new();
    let rule = FaultRule::of("*", "configmaps", InjectedFailure::Internal.into());
    server.fault(rule.named("b").for_client("one").times(2));
    let (one, two) = (maps(&server.named("one")), maps(&server));
    one.create(&PostParams::default(), &config_map("a")).await?;
    let refused = one.create(&PostParams::default(), &config_map("b")).await;
    same(&error_of(refused)?.0, &500)?;
    two.create(&PostParams::default(), &config_map("b")).await?;
    same(&error_of(one.get("b").await)?.0, &500)?;
    one.get("b").await?;
    Ok(())
}

async fn a_closure_decides_on_faults() -> TestResult {
    let server = ApiServer::new();
    server.faults(|asked| {
        let spoils = asked.verb == "patch" && asked.subresource == "status";
        spoils.then(|| InjectedFailure::Unavailable.into())
    });
    server.namespace("n", &[]);
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(server.client());
    let patch = merge(json!({"metadata": {"labels": {"a": "b"}}}));
    namespaces
        .patch("n", &PatchParams::default(), &patch)
        .await?;
    let refused = namespaces
        .patch_status("n", &PatchParams::default(), &patch)
        .await;
    same(&error_of(refused)?.0, &503)?;
    server.heal();
    namespaces
        .patch_status("n", &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

async fn latency_is_before_or_after_the_effect() -> TestResult {
    let server = ApiServer::new();
    let (before, after) = (Duration::from_millis(20), Duration::from_millis(300));
    server.fault(FaultRule::of(
        "create",
        "configmaps",
        FaultAction::slow(before, after),
    ));
    let maps = maps(&server);
    let began = Instant::now();
    let (map, params) = (config_map("a"), PostParams::default());
    let create = maps.create(&params, &map);
    let look = async {
        sleep(Duration::from_millis(10)).await;
        same(&maps.get_opt("a").await?.is_some(), &false)?;
        sleep(Duration::from_millis(20)).await;
        same(&maps.get_opt("a").await?.is_some(), &true)
    };
    let (created, looked) = tokio::join!(create, look);
    created?;
    looked?;
    same(&began.elapsed().as_millis(), &320)
}

async fn a_lost_answer_does_not_undo_the_write() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    for (name, failure) in [
        ("a", InjectedFailure::Timeout),
        ("b", InjectedFailure::Connection),
    ] {
        let rule = FaultRule::of("create", "configmaps", FaultAction::lost(failure));
        server.fault(rule.named(name));
        let answer = maps.create(&PostParams::default(), &config_map(name)).await;
        match (name, answer) {
            ("a", Err(Error::Api(status))) if status.code == 504 => {}
            ("b", Err(error)) if !matches!(error, Error::Api(_)) => {}
            (_, answer) => return Err(format!("{name}: {answer:?}").into()),
        }
    }
    same(&server.all("configmaps").len(), &2)?;
    same(&maps.list(&ListParams::default()).await?.items.len(), &2)
}

async fn a_write_persists_after_its_failure() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    let late = FaultAction::later(Duration::from_secs(30), InjectedFailure::Timeout);
    same(&late.effect, &FaultEffect::Later(Duration::from_secs(30)))?;
    server.fault(FaultRule::of("create", "configmaps", late).times(1));
    let answer = maps.create(&PostParams::default(), &config_map("a")).await;
    same(&error_of(answer)?.0, &504)?;
    same(&maps.get_opt("a").await?.is_some(), &false)?;
    sleep(Duration::from_secs(31)).await;
    same(&maps.get_opt("a").await?.is_some(), &true)
}

async fn a_write_persists_without_its_sender() -> TestResult {
    let server = ApiServer::new();
    let maps = maps(&server);
    let slow = FaultAction::slow(Duration::from_secs(5), Duration::ZERO);
    server.fault(FaultRule::of("create", "configmaps", slow));
    let silent = FaultAction::from(InjectedFailure::Silence);
    server.fault(FaultRule::of("get", "configmaps", silent).times(1));
    let (map, params) = (config_map("a"), PostParams::default());
    for sent in [true, false] {
        let answer = if sent {
            let create = maps.create(&params, &map);
            timeout(Duration::from_secs(1), create).await.is_ok()
        } else {
            timeout(Duration::from_secs(60), maps.get("a"))
                .await
                .is_ok()
        };
        same(&answer, &false)?;
    }
    same(&maps.get_opt("a").await?.is_some(), &true)
}

/// In real time, on a socket: the connection breaks before a response, and in the middle of a
/// watch.
fn a_broken_connection_is_one_over_http() -> TestResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let server = ApiServer::new();
    server.listen()?;
    runtime.block_on(async {
        let config = Config::new(server.url().parse()?);
        let maps: Api<k8s_openapi::api::core::v1::ConfigMap> =
            Api::namespaced(kube::Client::try_from(config)?, "default");
        maps.create(&PostParams::default(), &config_map("a"))
            .await?;
        same(&server.all("configmaps").len(), &1)?;
        let breaks = FaultRule::of("get", "configmaps", InjectedFailure::Connection.into());
        server.fault(breaks.times(1));
        match maps.get("a").await {
            Err(Error::Api(status)) => return Err(Failed::from(status.message)),
            Err(_) => {}
            Ok(_) => return Err("it was answered".into()),
        }
        let drops = FaultAction::dropped(Duration::from_millis(50));
        server.fault(FaultRule::of("watch", "configmaps", drops));
        let watch = maps.watch(&kube::api::WatchParams::default(), "0").await?;
        // It would go on for minutes. kube's client yields no event when it breaks.
        let received = futures_util::StreamExt::collect::<Vec<_>>(watch);
        let received = timeout(Duration::from_secs(20), received).await?;
        same(&received.first().is_some_and(Result::is_ok), &true)
    })
}

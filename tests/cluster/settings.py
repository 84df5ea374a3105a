"""What the programs of the test cluster are started with. Pure, but for the keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cluster.place import PODS, SERVICES, THERE

NODE = "node-1"
SERVER = f"https://{THERE}:6443"
PAUSE = "localhost/pause:1"
GROUP = "vibespace-test-cluster"
"""The control group of all pods."""

TOKENS = {
    "admin": ("admin", "system:masters"),
    "controllers": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
}
"""Who may log in, and in which group; the token of each is its own name, for nobody else is on the cable."""


def containerd(at: Path) -> str:
    return f"""\
version = 2
root = "{at}/containerd"
state = "/run/vibespace-containerd"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  sandbox_image = "{PAUSE}"
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{at}/cni"
"""


def network() -> str:
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "/run/cni",
    }
    bridge = {"type": "bridge", "bridge": "kube-pods", "isGateway": True, "hairpinMode": True, "ipam": ipam}
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, {"type": "loopback"}]})


def kubelet(at: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{GROUP}",
        "containerRuntimeEndpoint": "unix:///run/containerd.sock",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "maxPods": 200,
        "nodeStatusUpdateFrequency": "2s",
        "oomScoreAdj": 0,
        "podLogsDir": "/var/log/pods",
        "podPidsLimit": 4096,
        "protectKernelDefaults": False,
        "registryPullQPS": 0,
        "resolvConf": f"{at}/resolv.conf",
        "serializeImagePulls": False,
        "singleProcessOOMKill": True,
        "volumePluginDir": f"{at}/kubelet-plugins",
    }


def arguments(at: Path) -> dict[str, list[str]]:
    """By program."""
    key = f"{at}/service-accounts"
    return {
        "etcd": [
            *(f"--data-dir={at}/etcd", "--unsafe-no-fsync", "--log-level=error", "--snapshot-count=10000"),
            *("--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379"),
            *("--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380"),
            "--initial-cluster=default=http://127.0.0.1:2380",
        ],
        "kube-apiserver": [
            *("--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443", f"--advertise-address={THERE}"),
            *("--authorization-mode=Node,RBAC", f"--token-auth-file={at}/tokens", f"--cert-dir={at}/certificates"),
            *(f"--service-account-key-file={key}.pub", f"--service-account-signing-key-file={key}"),
            *("--service-account-issuer=https://kubernetes.default.svc", f"--service-cluster-ip-range={SERVICES}"),
            *("--endpoint-reconciler-type=none", "--kubelet-preferred-address-types=InternalIP"),
            *("--allow-privileged=true", "--watch-cache=true", "--profiling=false"),
        ],
        "kube-controller-manager": [
            *(f"--kubeconfig={at}/controllers.kubeconfig", f"--service-account-private-key-file={key}"),
            *("--use-service-account-credentials", f"--root-ca-file={at}/certificates/apiserver.crt"),
            *("--leader-elect=false", "--bind-address=127.0.0.1", "--node-monitor-grace-period=20s"),
            *("--concurrent-deployment-syncs=20", "--concurrent-replicaset-syncs=20", "--kube-api-qps=500"),
            *("--kube-api-burst=500", "--concurrent-gc-syncs=20", "--node-monitor-period=2s"),
        ],
        "kube-scheduler": [
            *(f"--kubeconfig={at}/scheduler.kubeconfig", "--leader-elect=false", "--bind-address=127.0.0.1"),
            *("--kube-api-qps=500", "--kube-api-burst=500"),
        ],
        "kubelet": [
            *(f"--kubeconfig={at}/kubelet.kubeconfig", f"--config={at}/kubelet.json", f"--root-dir={at}/kubelet"),
            *(f"--hostname-override={NODE}", f"--node-ip={THERE}", f"--cert-dir={at}/kubelet-certificates"),
        ],
    }


def tokens() -> str:
    return "".join(f'{token},{user},{token},"{group}"\n' for token, (user, group) in TOKENS.items())


def kubeconfig(at: Path, token: str, server: str = SERVER) -> str:
    """JSON, which is YAML."""
    cluster = {"server": server, "certificate-authority": f"{at}/certificates/apiserver.crt"}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": token, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": token}}],
        }
    )


def storage_class() -> dict[str, Any]:
    """The default one: volumes are made beforehand (volumes.py), and taken where the pod is."""
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "here", "annotations": default},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def volume(name: str, path: Path) -> dict[str, Any]:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "here",
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
        },
    }

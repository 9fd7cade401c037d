"""Two tenants with people in them, and clients for some of these: what tests about reach and rights need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.admin.admin_client import Api, unique

PASSWORD = "Correct-Horse-7"
ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


def policy_for(*actions: str) -> dict[str, Any]:
    """A policy that allows these actions on everything."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}


@dataclass
class Place:
    """A tenant, or the installation (id 0), with somebody and something of each kind in it."""

    id: int
    admin: dict[str, Any]
    user: dict[str, Any]
    group: dict[str, Any]
    role: dict[str, Any]
    policy: str
    key: str
    secret: str

    def path(self, line: str) -> str:
        """The path of a declared line below /api/v1, about what is here."""
        names = {
            "user": self.user["id"], "group": self.group["id"], "role": self.role["id"], "policy": self.policy, "access_key": self.key,
            "tenant": self.id,
        }
        return line.partition(" ")[2].removeprefix("/api/v1").format(**names)


@dataclass
class World:
    """Ours, theirs, and those of no tenant; ``admin`` and ``user`` are signed in for ours."""

    root: Api
    ours: Place
    theirs: Place
    installation: Place
    admin: Api
    user: Api


def new_user(root: Api, tenant_id: int = 0, **values: Any) -> dict[str, Any]:
    """Make a user with PASSWORD."""
    made: dict[str, Any] = root.ok.post("/users", {"username": unique("u"), "password": PASSWORD, "tenant_id": tenant_id, **values})
    return made


def new_place(root: Api, tenant_id: int, admins_policy: str) -> Place:
    """Fill a tenant."""
    policy = root.ok.post("/policies", {"name": unique("p"), "document": ALLOW_ALL, "tenant_id": tenant_id})["name"]
    group, role = (root.ok.post(path, {"name": unique("s"), "tenant_id": tenant_id}) for path in ("/groups", "/roles"))
    root.ok.put(f"/groups/{group['id']}/policies/{policy}")
    admin = new_user(root, tenant_id, policies=[admins_policy])
    user = new_user(root, tenant_id, policies=["readonly"], groups=[group["id"]], access_key={})
    return Place(tenant_id, admin, user, group, role, policy, user["access_key"]["access_key"], user["access_key"]["secret_key"])


def signed_in(root: Api, user: dict[str, Any]) -> Api:
    """A client for a user of ``new_user``."""
    return Api(root.server).sign_in(user["username"], PASSWORD)


def make(root: Api) -> World:
    """Make it all, as root."""
    ours, theirs = (new_place(root, root.ok.post("/tenants", {"name": unique("t")})["id"], "tenant-admin") for _ in range(2))
    installation = new_place(root, 0, "administrator")
    return World(root, ours, theirs, installation, signed_in(root, ours.admin), signed_in(root, ours.user))

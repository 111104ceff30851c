"""The provider: Lambda's on-demand instances, one for each node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from lepton_lambda._api import KEY_HINT, LambdaApi, refusal
from lepton_lambda._models import SshKey, Stock, launch_request, node_of, offers_of, owner_of, price_of
from lepton_lambda.plugin import PROVIDER
from lepton_sdk.spi import (
    AuthError,
    BlockScope,
    ConfigError,
    Diagnosis,
    KeyPair,
    Launch,
    LeptonError,
    Money,
    NoCapacity,
    Node,
    NodeState,
    Offer,
    OfferGone,
    ProviderContext,
    Resources,
    Secret,
)

if TYPE_CHECKING:
    from lepton_sdk.spi.http import ApiClient

__all__ = ["LambdaCloud", "create"]

_CONSOLE = "https://cloud.lambda.ai/ssh-keys"
# A launch uses a listing up to this age; an older one is read again, because prices may have changed.
_FRESH_SECONDS = 60.0
# A price that is higher than planned by more than this is another offer.
_TOLERANCE = 1.05
_LEAVING = frozenset({NodeState.RELEASING, NodeState.GONE})


def create(context: ProviderContext) -> LambdaCloud:
    """The factory that the spec names.

    Raises:
        AuthError: the key is malformed.
    """
    return LambdaCloud(context)


def _client(context: ProviderContext) -> ApiClient:
    secret = context.config["api_key"]
    key = secret.reveal() if isinstance(secret, Secret) else ""
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise AuthError("the API key is empty or has letters that no key has", provider=context.name, hint=KEY_HINT)
    headers = {"authorization": f"Bearer {key}"}
    return context.http(base_url=str(context.config["base_url"]), headers=headers, classify=refusal)


class _OwnerKey(KeyPair):
    """The key pair of one owner. It also identifies the account: an account without it is not the one that we used before."""

    @property
    def _registered(self) -> Path:
        """A line for each account in which this host has seen the key: the key's id there, and the account's name."""
        return self.folder / f"{self.name}.registered"

    @property
    def used_before(self) -> bool:
        """Whether this host has registered the key in an account."""
        return self._registered.exists()

    @property
    def accounts(self) -> dict[str, str]:
        """Id of the key → account, the newest last."""
        lines = self._registered.read_text().splitlines() if self.used_before else []
        return dict(line.split() for line in lines)

    async def ensure(self, api: LambdaApi, announce: Callable[[str, str], Awaitable[None]]) -> None:
        """Create and register the pair, if that is not done yet.

        Raises:
            ConfigError: a key with our name and other content is registered, or the pair cannot be created.
        """
        there = await api.ssh_keys()
        registered = [key for key in there if key.name == self.name]
        public = await self.public()
        if not all(self.same(key.public_key, public) for key in registered):
            raise self._elsewhere()
        if not registered:
            await announce("ssh-key", self.name)
            registered = [await api.add_ssh_key(self.name, public)]
        self._note(registered[0].id, account_among(there, self.folder) or registered[0].id)

    def _note(self, key: str, account: str) -> None:
        if key not in self.accounts:
            with self._registered.open("a") as file:
                file.write(f"{key} {account}\n")
            self._registered.chmod(0o600)

    def _elsewhere(self) -> ConfigError:
        error = ConfigError(
            f"the account has an SSH key {self.name} that is not the one in {self.private}, so its machines could not be reached",
            provider="lambda",
            hint=f"copy the private key from the host that made it to {self.private}, or delete {self.name} at {_CONSOLE}",
        )
        error.scope = BlockScope.PROVIDER
        return error

    async def check_account(self, api: LambdaApi) -> None:
        """Before absence counts as gone: check that this is the account with our machines.

        Raises:
            AuthError: it has no key of our name.
        """
        if any(key.name == self.name for key in await api.ssh_keys()):
            return
        hint = "put the key of that account into LAMBDA_API_KEY; if the SSH key was deleted, add again what is shown by"
        raise AuthError(
            f"this account has no SSH key {self.name}, so it is not the one in which machines were made",
            provider="lambda",
            hint=f"{hint} ssh-keygen -y -f {self.private}",
        )


def account_among(there: Sequence[SshKey], folder: Path) -> str | None:
    """The account with these SSH keys. No call names it, so its name is the first of our keys in it.

    Returns:
        The account, or ``None`` if it has no key that was registered from here.
    """
    keys = [_OwnerKey("lambda", folder, file.stem.removeprefix("lepton-")) for file in sorted(folder.glob("*.registered"))]
    known = {key.name: key.accounts for key in keys}
    ids = {name: account for accounts in known.values() for name, account in accounts.items()}
    named = [key.id for key in there if key.id in ids]
    if named:
        return ids[named[0]]
    # A key that was deleted and added again by hand has another id.
    again = [list(known[key.name].values())[-1] for key in there if known.get(key.name)]
    return again[0] if again else None


class LambdaCloud:
    """The six methods over one account."""

    def __init__(self, context: ProviderContext) -> None:
        self._config: Mapping[str, Any] = context.config
        self._clock = context.clock
        self._folder = context.cache_dir / "ssh"
        self._api = LambdaApi(_client(context))
        self._stock: dict[str, Stock] = {}
        self._stock_at: datetime | None = None
        self._ensured: set[str] = set()

    # --- the market ------------------------------------------------------------------------------------------------

    async def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        """Yield every type in every region with capacity now; a type without any appears once, as sold out."""
        await self._list()
        assert self._stock_at is not None
        for stock in self._stock.values():
            for offer in offers_of(stock, self._stock_at):
                yield offer

    async def _list(self) -> None:
        self._stock, self._stock_at = await self._api.instance_types(), self._clock.now()

    async def _still_sold(self, offer: Offer) -> Money:
        """The price now, if the offer is still valid.

        Raises:
            OfferGone: the type is no longer sold, or costs over 5 % more than planned.
            NoCapacity: the region has none left.
        """
        if self._stock_at is None or (self._clock.now() - self._stock_at).total_seconds() > _FRESH_SECONDS:
            await self._list()
        stock = self._stock.get(offer.instance_type)
        if stock is None:
            raise OfferGone(f"Lambda no longer sells {offer.instance_type}", provider="lambda")
        price = price_of(stock.type)
        if offer.price is not None and float(price.amount) > float(offer.price.amount) * _TOLERANCE:
            text = f"{offer.instance_type} was planned at {offer.price.display()} an hour and now costs {price.display()}"
            raise OfferGone(text, provider="lambda", hint="plan again with lepton route --live")
        if offer.region not in stock.regions:
            raise NoCapacity(f"{offer.region} has no {offer.instance_type} left", provider="lambda")
        return price

    # --- a node's life ---------------------------------------------------------------------------------------------

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        """Launch one instance that carries owner and token as tags.

        Raises:
            OfferGone, NoCapacity, QuotaExceeded: it is not available.
            ConfigError: the account has another SSH key under our name; nothing was created.
            OutcomeUnknown: the answer did not come.
        """
        key = self._key(launch.owner)
        now = self._clock.now()
        request = launch_request(self._config, offer, launch, key.name, now)
        price = await self._still_sold(offer)
        if launch.owner not in self._ensured:
            await key.ensure(self._api, launch.announce)
            self._ensured.add(launch.owner)
        try:
            name = await self._api.launch(request)
        except OfferGone as error:
            # The missing thing may be the key: check the account again before the next launch.
            self._ensured.discard(launch.owner)
            raise self._named(error) from error
        return Node(
            provider="lambda",
            id=name,
            token=launch.token,
            owner=launch.owner,
            state=NodeState.PENDING,
            instance_type=offer.instance_type,
            region=offer.region,
            price=price,
            since=now,
        )

    def _named(self, error: OfferGone) -> LeptonError:
        """Type and region came from Lambda's own listing; so the missing thing is probably named in the settings."""
        named = [name for name in ("image", "file_systems", "firewall_rulesets") if self._config[name]]
        if not named or error.scope is not BlockScope.OFFER:
            return error
        hint = f"check {' and '.join(f'providers.lambda.{name}' for name in named)}"
        blamed = ConfigError(error.message, provider="lambda", request=error.request, hint=hint)
        blamed.scope = BlockScope.PROVIDER
        return blamed

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        """Return instances with the owner's tag or SSH key; keys are free and not listed."""
        nodes = [node_of(instance, self._config, self._identity(owner_of(instance))) for instance in await self._api.instances()]
        ours = [node for node in nodes if node.owner is not None and owner in ("*", node.owner) and token in (None, node.token)]
        for node in ours:
            yield node

    async def inspect(self, node: Node) -> Node:
        """Return the state now; a new instance that the API does not list yet is pending.

        Raises:
            NoCapacity: it ended before it was ever active, so the region had no capacity after all.
        """
        seen = await self._look(node)
        if node.state is NodeState.PENDING and seen.state in _LEAVING:
            text = f"{node.instance_type} in {node.region} was given and taken back before it was active: {seen.detail}"
            raise NoCapacity(text, provider="lambda", request=node.id)
        return seen

    async def _look(self, node: Node) -> Node:
        instance = await self._api.instance(node.id)
        if instance is None:
            return await self._absent(node, NodeState.PENDING)
        seen = node_of(instance, self._config, self._identity(node.owner or owner_of(instance)))
        # The journal's knowledge wins over the tags, which anybody in the account may change. While it boots, Lambda's own price
        # of the machine wins over the listed price at launch; that price holds for its whole life.
        names = ("token", "owner", "since", *(() if node.state is NodeState.PENDING else ("price",)))
        known = {name: getattr(node, name) for name in names if getattr(node, name) is not None}
        if seen.token not in (None, node.token) and node.token is not None:
            # Another machine of ours: the id came with a wrong answer.
            del known["token"]
        return evolve(seen, **known)

    async def _absent(self, node: Node, until_listed: NodeState) -> Node:
        age = (self._clock.now() - node.since).total_seconds() if node.since else None
        if age is not None and age < PROVIDER.timings.listing_lag:
            return node.with_state(until_listed, "Lambda does not show it yet")
        if node.owner is not None:
            await self._key(node.owner).check_account(self._api)
        return node.with_state(NodeState.GONE, "Lambda does not know it")

    async def release(self, node: Node) -> Node:
        """Terminate it. Gone is success; ``releasing`` until Lambda says terminated."""
        seen = await self._look(node)
        if seen.state in _LEAVING:
            return seen
        ended = await self._api.terminate(node.id)
        if ended is None:
            return await self._absent(node, NodeState.RELEASING)
        gone = node_of(ended, self._config, None).state is NodeState.GONE
        return node.with_state(NodeState.GONE if gone else NodeState.RELEASING)

    # --- the rest --------------------------------------------------------------------------------------------------

    def _key(self, owner: str) -> _OwnerKey:
        return _OwnerKey("lambda", self._folder, owner)

    def _identity(self, owner: str | None) -> str | None:
        return self._key(owner).identity if owner else None

    async def account(self) -> str | None:
        """Return the account's SSH key that this host registered first; ``None`` if there is none."""
        return account_among(await self._api.ssh_keys(), self._folder)

    async def diagnose(self) -> Sequence[Diagnosis]:
        """Check key, rights and running machines, by two calls that cost nothing; says what the API does not tell."""
        try:
            keys = await self._api.ssh_keys()
        except LeptonError as error:
            return [Diagnosis("lambda key", False, error.message, error.hint or "")]
        ours = sum(key.name.startswith("lepton-") for key in keys)
        return [
            Diagnosis("lambda key", True, f"accepted; {len(keys)} SSH keys in the account, {ours} of them lepton's"),
            await self._diagnose_instances(),
            Diagnosis("lambda quota", None, "the API does not tell quotas; a launch beyond one is refused and costs nothing"),
        ]

    async def _diagnose_instances(self) -> Diagnosis:
        try:
            found = [instance for instance in await self._api.instances() if instance.status != "terminated"]
        except LeptonError as error:
            return Diagnosis("lambda instances", False, error.message, error.hint or "")
        ours = sum(owner_of(instance) is not None for instance in found)
        return Diagnosis("lambda instances", True, f"{len(found)} in the account, {ours} of them lepton's")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

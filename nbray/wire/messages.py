"""Every message between processes: frozen structs, one tagged union per receiver.

Owns the vocabulary of the wire. Does not own encoding (`codec`) or meaning
(the brains). Rule: a message says all it means by its fields; identities are
the integers of `nbray.ids`; resources are in ten-thousandths; annotations of structs are no
strings (modules without `annotations` of `__future__`): msgspec evaluates each at a start.

Three unions, by who receives: `ToClient` (drivers and workers), `ToNode`,
`ToHead`. The messages stand in `work` (client and worker), `objects` (between
clients), `node` (a client and its node) and `cluster` (store, members, actors'
lives), what travels inside them in `parts`; all of them are had from here.
"""

from __future__ import annotations

from nbray.wire.cluster import *
from nbray.wire.node import *
from nbray.wire.objects import *
from nbray.wire.parts import *
from nbray.wire.tiers import *
from nbray.wire.work import *

ToClient = (
    Tasks | Calls | Results | Counted | Early | Yielded | Taken | Bounced | Undefine | Cancel
    | CancelOwned | Printed | SettingUp | Displayed
    | Shown | Borrow | Borrowed | Release | Locate | Located | Unpinned | Moved
    | CopiesGone | Leaving
    | Registered | Granted | Reclaim | Infeasible | Waiting | Died | NodeLost | Exit | PortOpen
    | Outlives | Allocated | Fetched | WhatHeld | Unclaimed | Members | Picture
    | ActorCreated | ActorFound | ActorList | ActorState | ActorGone | ActorWaits | BecomeActor
    | Refused | Describe | Described | Lend | Resume | GroupMade | GroupState | GroupsFound
    | UsePins | Lies
)  # fmt: skip
ToNode = (
    Register | Demand | Holding | Granted | Returned | Blocked | Unblocked | KillWorker | Goodbye
    | OpenPort | Outlive | Allocate | Free | Fetch | Saved | Held | Pull | Chunk | Worked
    | Welcome | Refused | Members | StartActor | ActorUp | StopActor | Died | NodeLost | Exit
    | Infeasible | Stays | Describe | Drain | Lent | Remember | ReserveBundles | CommitBundles
    | ReturnBundles | UsesPins | Where
)  # fmt: skip
ToHead = (
    Join | Leave | Load | Watch | Died | NodeLost | Goodbye | Register
    | CreateActor | FindActor | ListActors | WatchActor | EndActor | ActorUp | ActorDown
    | Describe | CreateGroup | RemoveGroup | WatchGroup | FindGroups | BundlesReserved
)  # fmt: skip

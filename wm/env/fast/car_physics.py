"""gymnasium's CarRacing car, step for step the same numbers from plain Python floats."""

import math
from typing import Any

from Box2D import b2World
from Box2D.b2 import contactListener
from gymnasium.envs.box2d.car_dynamics import (
    ENGINE_POWER,
    FRICTION_LIMIT,
    SIZE,
    WHEEL_MOMENT_OF_INERTIA,
    WHEEL_R,
    Car,
)

_GRASS_LIMIT = FRICTION_LIMIT * 0.6
_STIFFNESS = 205000 * SIZE * SIZE
_WHEEL_RADIUS = WHEEL_R * SIZE
_BRAKE_FORCE = 15
_FORWARD = (0.0, 1.0)


class World(b2World):
    """A Box2D world without gymnasium's leak: the shapes of its moving bodies are freed."""

    def CreateDynamicBody(self, *, fixtures: Any, **definition: Any) -> Any:  # noqa: N802
        """Returns a new body with copies of `fixtures`, a fixtureDef or a list of them, whose
        shapes are gone afterwards."""
        body = super().CreateDynamicBody(fixtures=fixtures, **definition)
        for fixture in fixtures if isinstance(fixtures, list) else [fixtures]:
            # a fixtureDef never frees its shape (`track.fixture`): 2.4 KB a car. This reference
            # does, and nothing else holds it.
            fixture.shape.thisown = True
        return body


class FastCar(Car):
    """gymnasium's Car without particles: skid marks are not part of an observation.

    Every product and sum is in gymnasium's order, so that the forces are equal bit for bit.
    """

    def __init__(self, world: Any, angle: float, x: float, y: float) -> None:
        super().__init__(world, angle, x, y)
        for wheel in self.wheels:
            wheel.road_tiles = 0  # tiles under the wheel

    def control(self, steer: float, gas: float, brake: float) -> None:
        """Sets the pedals, in [0, 1], and the front wheels' angle to steer to, in rad."""
        gas = min(max(gas, 0.0), 1.0)
        front_left, front_right, rear_left, rear_right = self.wheels
        front_left.steer = front_right.steer = steer
        for wheel in (rear_left, rear_right):
            wheel.gas += min(gas - wheel.gas, 0.1)
        for wheel in self.wheels:
            wheel.brake = brake

    def step(self, dt: float) -> None:
        """Applies the forces of `dt` seconds to the wheels, as gymnasium's Car.step does."""
        for wheel in self.wheels:
            joint = wheel.joint
            turn = 50.0 * (wheel.steer - joint.angle)
            joint.motorSpeed = min(max(turn, -3.0), 3.0)

            forward = wheel.GetWorldVector(_FORWARD)
            velocity = wheel.linearVelocity
            fx, fy, vx, vy = forward.x, forward.y, velocity.x, velocity.y
            omega = wheel.omega
            if wheel.gas:
                power = dt * ENGINE_POWER * wheel.gas / WHEEL_MOMENT_OF_INERTIA
                omega += power / (abs(omega) + 5.0)
            brake = wheel.brake
            if brake >= 0.9:
                omega = 0.0
            elif brake > 0:
                omega -= math.copysign(min(_BRAKE_FORCE * brake, abs(omega)), omega)
            wheel.phase += omega * dt

            # the side vector (1, 0) in the world is forward turned by -90 degrees: (fy, -fx)
            along = (-(fx * vx + fy * vy) + omega * _WHEEL_RADIUS) * _STIFFNESS
            across = -(fy * vx + -fx * vy) * _STIFFNESS
            force = math.sqrt(along * along + across * across)
            limit = FRICTION_LIMIT if wheel.road_tiles else _GRASS_LIMIT
            if force > limit:
                along = along / force * limit
                across = across / force * limit
            wheel.omega = omega - dt * along * _WHEEL_RADIUS / WHEEL_MOMENT_OF_INERTIA
            wheel.ApplyForceToCenter((across * fy + along * fx, across * -fx + along * fy), True)


class TileListener(contactListener):
    """Counts the tiles under each wheel, and calls `reached(tile)` when a tile is first touched."""

    def __init__(self, tiles: int, reached: Any) -> None:
        super().__init__()
        self._new = [True] * tiles
        self._reached = reached

    def BeginContact(self, contact: Any) -> None:  # noqa: N802
        """Takes note of a wheel that has come onto a tile."""
        tile, wheel = self._parties(contact)
        wheel.road_tiles += 1
        if self._new[tile]:
            self._new[tile] = False
            self._reached(tile)

    def EndContact(self, contact: Any) -> None:  # noqa: N802
        """Takes note of a wheel that has left a tile."""
        _, wheel = self._parties(contact)
        wheel.road_tiles -= 1

    @staticmethod
    def _parties(contact: Any) -> tuple[int, Any]:
        one, other = contact.fixtureA, contact.fixtureB
        tile = one.userData
        if tile is None:
            return other.userData, one.body.userData
        return tile, other.body.userData

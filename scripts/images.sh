#!/usr/bin/env bash
# Builds the images trireme-<service> with docker or buildah, whichever is there; `push` sends them on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'TEXT'
usage: scripts/images.sh build|push|list [SERVICE ...]

  build   builds trireme-<service> for the services named, or for all four
  push    pushes them to REGISTRY, and copies the cache's image (REDIS_IMAGE) there
  list    prints the names, one a line

environment:
  REGISTRY     prefix of the names, as global.imageRegistry of the chart; empty builds local names
  TAG          tag (default: the chart's appVersion)
  TARGET       cpu (default), gpu or gpu-torch, tagged TAG-gpu and TAG-gpu-torch; other images for inference
               alone, gpu-torch for models of torch
  BASE         base image (default: python:3.11-slim-bookworm)
  REDIS_IMAGE  image of the embedded cache (default: redis:7)
  ENGINE       docker or buildah (default: the first that works)
  BUILD_FLAGS  more flags for the engine's build command
TEXT
}

fail() {
    echo "images: $1" >&2
    exit "${2:-1}"
}

find_engine() {
    if [[ -n "${ENGINE:-}" ]]; then
        [[ "$ENGINE" == docker || "$ENGINE" == buildah ]] || fail "ENGINE is '$ENGINE'; it can be docker or buildah" 2
        command -v "$ENGINE" >/dev/null || fail "ENGINE=$ENGINE is not installed"
        echo "$ENGINE"
    elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then
        echo docker
    elif command -v buildah >/dev/null; then
        echo buildah
    elif command -v docker >/dev/null; then
        fail "docker is here but its daemon does not answer; start it, or install buildah"
    else
        fail "neither docker nor buildah is here: install one of them (Debian: apt-get install buildah)"
    fi
}

build() {
    local service=$1 flags=() target=$TARGET
    # The others know no torch: theirs is the GPU image, which is their CPU image.
    [[ "$service" == inference || "$target" == cpu ]] || target=gpu
    flags+=(--file "services/$service/Dockerfile" --target "$target" --tag "$(name_of "$service")")
    flags+=(--build-arg "BASE=$BASE" --build-arg "VERSION=$TAG" --build-arg "REVISION=$REVISION")
    # shellcheck disable=SC2206  # several flags in one variable
    flags+=(${BUILD_FLAGS:-})
    if [[ "$engine" == docker ]]; then
        docker build "${flags[@]}" .
    else
        buildah bud --layers "${flags[@]}" .
    fi
}

name_of() {
    echo "${REGISTRY:+$REGISTRY/}trireme-$1:$tag"
}

copy_redis() {
    local target="$REGISTRY/${REDIS_IMAGE##*/}"
    "$engine" pull "$REDIS_IMAGE"
    "$engine" tag "$REDIS_IMAGE" "$target"
    "$engine" push "$target"
}

main() {
    local command=${1:-} service
    shift || true
    case "$command" in build | push | list) ;; *) usage >&2; exit 2 ;; esac
    TARGET=${TARGET:-cpu}
    case "$TARGET" in cpu | gpu | gpu-torch) ;; *) fail "TARGET is '$TARGET'; it can be cpu, gpu or gpu-torch" 2 ;; esac
    TAG=${TAG:-$(sed -n 's/^appVersion: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' deploy/helm/trireme/Chart.yaml)}
    REGISTRY=${REGISTRY:-}
    REGISTRY=${REGISTRY%/}
    BASE=${BASE:-python:3.11-slim-bookworm}
    REDIS_IMAGE=${REDIS_IMAGE:-redis:7}
    REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)
    tag=$TAG
    [[ "$TARGET" == cpu ]] || tag=$TAG-$TARGET
    local services=("$@")
    [[ $# -gt 0 ]] || services=(gateway preprocess inference postprocess)
    for service in "${services[@]}"; do
        [[ -f "services/$service/Dockerfile" ]] || fail "there is no service '$service'" 2
    done
    if [[ "$command" == list ]]; then
        for service in "${services[@]}"; do name_of "$service"; done
        return
    fi
    engine=$(find_engine)
    [[ "$command" == build || -n "$REGISTRY" ]] || fail "push needs REGISTRY=<host/path>" 2
    for service in "${services[@]}"; do
        if [[ "$command" == build ]]; then build "$service"; else "$engine" push "$(name_of "$service")"; fi
    done
    [[ "$command" == build ]] || copy_redis
}

main "$@"

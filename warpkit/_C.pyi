simd_levels: str
with_cuda: bool
cuda_version: str
cuda_architectures: str

def simd_level() -> str: ...

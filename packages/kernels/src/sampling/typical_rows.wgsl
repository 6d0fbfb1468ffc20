// typical.wgsl, four numbers of a row at a time: classes divisible by 4.

alias T = vec4f;
alias S = vec2f;

fn lanes_sum(v: T) -> f32 { return (v.x + v.y) + (v.z + v.w); }

fn lanes_max(v: T) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }

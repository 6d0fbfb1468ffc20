// typical.wgsl, a number at a time: any number of classes, and the twin that the other is tested against.

alias T = f32;
alias S = vec2f;

fn lanes_sum(v: T) -> f32 { return v; }

fn lanes_max(v: T) -> f32 { return v; }
